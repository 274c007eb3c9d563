"""The server, the credentials and the connection of object storage."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from stepkit.artifacts import s3_errors
from stepkit.errors import ConfigurationError, Reason
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config, S3Store

SCHEME: Final = "s3://"

CONNECT_SECONDS: Final = 15.0


@dataclass(frozen=True, kw_only=True)
class Access:
    """The server and the credentials; without a key, the role of the pod or machine is used.

    ``google_key`` is the JSON of a service account's key, for gs://. ``anonymous`` asks without
    credentials, as for a public bucket.
    """

    endpoint: str | None = None
    region: str = "us-east-1"
    key_id: str | None = None
    secret_key: str | None = None
    session_token: str | None = None
    ca_file: Path | None = None
    google_key: str | None = None
    anonymous: bool = False


def open_store(bucket: str, access: Access, timeout: float) -> S3Store:
    """Open a bucket; ``timeout`` is in seconds for each request.

    Raises :class:`ConfigurationError` without obstore, and for a key or an address that is wrong.
    """
    from datetime import timedelta

    try:
        from obstore.store import S3Store
    except ImportError as error:
        raise obstore_missing(SCHEME) from error
    _check(access)
    config: S3Config = {"region": access.region}
    if access.endpoint:
        config["endpoint"] = access.endpoint.rstrip("/")
    if access.anonymous:
        config["skip_signature"] = True
    elif access.key_id and access.secret_key:
        config |= {"access_key_id": access.key_id, "secret_access_key": access.secret_key}
        if access.session_token:
            config["session_token"] = access.session_token
    client: ClientConfig = {
        "timeout": timedelta(seconds=timeout),
        "connect_timeout": timedelta(seconds=min(timeout, CONNECT_SECONDS)),
        "allow_http": (access.endpoint or "").startswith("http://"),
    }
    if access.ca_file:
        client["root_certificate"] = atomic_files.read(access.ca_file)
    try:
        return S3Store(
            bucket,
            config=config,
            client_options=client,
            retry_config={"max_retries": 0},  # stepkit.system.retry tries again, and logs it
        )
    except Exception as error:  # obstore has several for a wrong endpoint or certificate
        why = s3_errors.first_line(str(error))
        raise ConfigurationError(f"cannot use {SCHEME}{bucket}: {why}") from error


def obstore_missing(scheme: str) -> ConfigurationError:
    """Return the error for addresses of ``scheme`` where obstore is not installed."""
    return ConfigurationError(
        f"{scheme} needs the package obstore, which is not installed here: "
        "pip install 'stepkit[s3]', or take an image that has it"
    )


def _check(access: Access) -> None:
    """Raise :class:`ConfigurationError` for an unusable key or endpoint, without showing it."""
    keys = {
        "AWS_ACCESS_KEY_ID": access.key_id,
        "AWS_SECRET_ACCESS_KEY": access.secret_key,
        "AWS_SESSION_TOKEN": access.session_token,
    }
    for name, key in keys.items():
        if key and re.search(r"[^\x21-\x7e]", key):  # obstore panics: it is not a valid header
            raise ConfigurationError(
                f"{name} holds a blank, a line break or another character that no key has",
                reason=Reason.AUTH,
            )
    if bool(access.key_id) != bool(access.secret_key):
        raise ConfigurationError(
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together: one of them is empty",
            reason=Reason.AUTH,
        )
    if not access.endpoint:
        return
    parts = urlsplit(access.endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in access.endpoint:
        raise ConfigurationError(
            "--endpoint-url must be https://HOST or http://HOST, without credentials"
        )
