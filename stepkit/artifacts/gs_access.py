"""The credentials and the connection of Google Cloud Storage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from stepkit import redaction
from stepkit.artifacts import s3_access, s3_errors
from stepkit.errors import ConfigurationError, Reason
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from obstore.store import ClientConfig, GCSConfig, GCSStore

    from stepkit.artifacts.s3_access import Access

SCHEME: Final = "gs://"


def open_store(bucket: str, access: Access, timeout: float) -> GCSStore:
    """Open a bucket; ``timeout`` is in seconds for each request.

    Without a key, obstore takes what the environment names (``GOOGLE_APPLICATION_CREDENTIALS``) or
    the role of the pod or machine.

    Raises :class:`ConfigurationError` without obstore, and for a key that is wrong.
    """
    from datetime import timedelta

    try:
        from obstore.store import GCSStore
    except ImportError as error:
        raise s3_access.obstore_missing(SCHEME) from error
    config: GCSConfig = {}
    if access.anonymous:
        config["skip_signature"] = True
    if access.google_key:
        _check(access.google_key)
        config["service_account_key"] = access.google_key
    client: ClientConfig = {
        "timeout": timedelta(seconds=timeout),
        "connect_timeout": timedelta(seconds=min(timeout, s3_access.CONNECT_SECONDS)),
        "allow_http": True,  # where the key names such a server, as that of an emulator does
    }
    if access.ca_file:
        client["root_certificate"] = atomic_files.read(access.ca_file)
    try:
        return GCSStore(
            bucket, config=config, client_options=client, retry_config={"max_retries": 0}
        )
    except Exception as error:  # obstore has several for a wrong key, file or certificate
        why = s3_errors.first_line(str(error))
        raise ConfigurationError(
            f"cannot use {SCHEME}{bucket}: {why}", reason=Reason.AUTH
        ) from error


def _check(key: str) -> None:
    """Raise :class:`ConfigurationError` for what is not a key, without showing it."""
    try:
        secret = json.loads(key)["private_key"]
    except (ValueError, KeyError, TypeError):
        raise ConfigurationError(
            "GOOGLE_SERVICE_ACCOUNT_KEY is not the key of a service account, in JSON with a "
            "private_key",
            reason=Reason.AUTH,
        ) from None
    redaction.register(str(secret))
