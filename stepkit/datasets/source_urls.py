"""Which URLs a dataset can have: https://, s3://bucket/key, gs://bucket/key, hf://datasets/..."""

from __future__ import annotations

import re
from typing import Final

from stepkit.datasets import hub_files
from stepkit.errors import ConfigurationError
from stepkit.http import safe_urls

STORAGE: Final = ("s3://", "gs://")
ANONYMOUS: Final = "anonymous"  # in place of a token: object storage without credentials

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")


def check(url: str, *, auth: str | None) -> None:
    """Refuse a URL that no file can be downloaded from with the token that ``auth`` names.

    Raises :class:`ConfigurationError`.
    """
    if url.startswith(STORAGE):
        bucket_and_key(url)
        if auth not in {None, ANONYMOUS}:
            raise ConfigurationError(
                f"{url}: credentials of object storage come by the environment: leave auth out, or "
                f"write {ANONYMOUS} for a public bucket"
            )
        return
    if auth == ANONYMOUS:
        raise ConfigurationError(
            f"{safe_urls.masked(url)}: auth {ANONYMOUS} is for s3:// and gs://: leave it out"
        )
    safe_urls.check_url(hub_files.address(url, hub_files.ENDPOINT), token=bool(auth))


def bucket_and_key(url: str) -> tuple[str, str]:
    """Return the bucket and the key in ``s3://bucket/key``; in the key, ``%20`` is a blank.

    Raises :class:`ConfigurationError`.
    """
    from urllib.parse import unquote

    safe_urls.split(url)
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    shown = f"{scheme}://..." if "@" in bucket else safe_urls.masked(url)
    if not _BUCKET.fullmatch(bucket) or not key or re.search(r"[?#]", key):
        raise ConfigurationError(
            f"{shown} names no object: write {scheme}://bucket/key, the bucket in lower case"
        )
    key = unquote(key)
    if {"", ".", ".."} & set(key.split("/")) or re.search(r"[\x00-\x1f\x7f]", key):
        raise ConfigurationError(
            f"{shown} has a key that cannot be read: one with an empty part, . or .. between its "
            "slashes, or with a control character"
        )
    return bucket, key
