"""Files of datasets on the Hugging Face hub: ``hf://datasets/OWNER/NAME[@REVISION]/PATH``."""

from __future__ import annotations

import re
from typing import Final

from stepkit.errors import ConfigurationError
from stepkit.http import safe_urls
from stepkit.http.get import Source

ENDPOINT: Final = "https://huggingface.co"

_SCHEME: Final = "hf://"
_FILE: Final = re.compile(
    r"hf://datasets/(?P<dataset>[\w.-]+/[\w.-]+)"
    r"(?:@(?P<revision>refs/(?:convert|pr)/[\w.-]+|[^/@]+))?/(?P<path>[^@].*)"
)


def address(url: str, endpoint: str) -> str:
    """Return the web address at ``endpoint`` of a file on the hub; other URLs as they are.

    Raises :class:`ConfigurationError`.
    """
    from urllib.parse import quote, unquote

    if not url.startswith(_SCHEME):
        return url
    try:
        safe_urls.check_url(endpoint)
    except ConfigurationError as error:
        raise ConfigurationError(f"--hub-endpoint: {error}") from error
    if re.search(r"[?#]", endpoint):
        raise ConfigurationError("--hub-endpoint must be https://HOST, without ? and #")
    safe_urls.split(url)
    found = _FILE.fullmatch(url)
    path = unquote(found["path"]) if found else ""
    parts = [*path.split("/"), *(found["dataset"].split("/") if found else ())]
    if not found or {"", ".", ".."} & set(parts) or re.search(r"[?#]", url):
        raise ConfigurationError(
            f"{safe_urls.masked(url)!a} names no file of a dataset: write "
            "hf://datasets/OWNER/NAME/PATH, or NAME@REVISION for another one than main"
        )
    revision = quote(unquote(found["revision"] or "main"), safe="")
    return f"{endpoint.rstrip('/')}/datasets/{found['dataset']}/resolve/{revision}/{quote(path)}"


def source(url: str, endpoint: str, token: str | None) -> Source:
    """Return a file on the web, or on the hub, with the ``token`` that its origin gets."""
    found = _FILE.fullmatch(url)
    if not found:
        return Source(url, token)
    page = f"{endpoint.rstrip('/')}/datasets/{found['dataset']}"
    advice = (
        f"may this token read it? Accept its terms at {page} if it asks for that"
        if token
        else f"accept its terms at {page} if it asks for that, and name a token of yours by auth"
    )
    if_denied = f"the dataset is gated, private or not there: {advice}"
    return Source(address(url, endpoint), token, if_denied)
