"""The options of a command that reads or writes object storage: the server, and the keys."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

from stepkit.artifacts.s3_access import Access
from stepkit.options import DURATION, AtLeast, DefaultFromEnv, FromEnv

EndpointUrl = Annotated[
    str | None,
    "S3-compatible server, such as MinIO; by default $AWS_ENDPOINT_URL, else AWS",
    DefaultFromEnv("AWS_ENDPOINT_URL"),
]
Region = Annotated[str, "region; by default $AWS_REGION", DefaultFromEnv("AWS_REGION")]


@dataclass(frozen=True, kw_only=True)
class AccessOptions:
    """Flags and variables that say which server object storage is, and who asks it."""

    heading: ClassVar[str] = "object storage"

    endpoint_url: EndpointUrl = None
    region: Region = "us-east-1"
    ca_file: Annotated[Path | None, "certificates (PEM) of the server's own authority"] = None
    access_key_id: Annotated[str | None, "S3 key", FromEnv("AWS_ACCESS_KEY_ID", shared=True)] = None
    secret_access_key: Annotated[
        str | None, "the key's secret", FromEnv("AWS_SECRET_ACCESS_KEY", shared=True)
    ] = None
    session_token: Annotated[
        str | None, "token of a temporary key", FromEnv("AWS_SESSION_TOKEN", shared=True)
    ] = None

    @property
    def access(self) -> Access:
        """The server and the credentials."""
        return Access(
            endpoint=self.endpoint_url,
            region=self.region,
            key_id=self.access_key_id,
            secret_key=self.secret_access_key,
            session_token=self.session_token,
            ca_file=self.ca_file,
        )


@dataclass(frozen=True, kw_only=True)
class ReadOptions(AccessOptions):
    """Flags and variables of a command that also reads from Google's object storage."""

    google_key: Annotated[
        str | None,
        "key of a service account for gs://, in JSON",
        FromEnv("GOOGLE_SERVICE_ACCOUNT_KEY", shared=True),
    ] = None

    @property
    def access(self) -> Access:
        """The server and the credentials."""
        return replace(super().access, google_key=self.google_key)


@dataclass(frozen=True, kw_only=True)
class StorageOptions(AccessOptions):
    """Flags and variables about object storage, and how often and how long to try."""

    attempts: Annotated[
        int, "how often to try each file when the server or network fails", AtLeast(1)
    ] = 5
    timeout: Annotated[float, "limit for each try of a file", DURATION, AtLeast(1)] = 300.0
