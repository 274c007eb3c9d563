"""Embed the images that a notebook's text refers to."""

from __future__ import annotations

import base64
import mimetypes
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

_ATTACHMENT: Final = "attachment:"
_MAX_BYTES: Final = 64 * 2**20  # of an embedded file
_BASE64: Final = re.compile(r"[A-Za-z0-9+/=\s]*")
_SOURCE: Final = re.compile(
    r"""(<img\b[^<>]{0,2000}?\ssrc\s*=\s*)("[^"<>]*"|'[^'<>]*'|[^\s"'<>]+)""", re.IGNORECASE
)
# The formats of images that a page shows, the preferred one first.
FORMATS: Final = (
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/avif",
    "image/bmp",
)
SUFFIXES: Final = frozenset(
    suffix for mime in FORMATS for suffix in mimetypes.guess_all_extensions(mime)
)  # of files with images that a page shows


def data_url(mime: str, content: str) -> str | None:
    """Return the ``data:`` URL of an image in a notebook, or None if it is not base64."""
    if mime == "image/svg+xml" and content.lstrip().startswith("<"):
        content = base64.b64encode(content.encode("utf-8", "replace")).decode("ascii")
    if not _BASE64.fullmatch(content):
        return None
    return f"data:{mime};base64,{''.join(content.split())}"


class Images:
    """Embeds images below one directory; a link that leads out of it is not followed."""

    def __init__(self, directory: Path | None) -> None:
        self._root = directory.resolve() if directory else None

    def embed(self, source: str, attachments: Mapping[str, Any]) -> str:
        """Return ``source`` as a ``data:`` URL, or unchanged if there is no such image."""
        if source.startswith(_ATTACHMENT):
            name = source.removeprefix(_ATTACHMENT)
            formats = attachments.get(name) or attachments.get(unquote(name)) or {}
            mime = next((mime for mime in FORMATS if mime in formats), None)
            if mime is None:
                return source
            content = formats[mime]
            content = content if isinstance(content, str) else "".join(content)
            return data_url(mime, content) or source
        if self._root is None or re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:|//", source):
            return source
        return self._read(source) or source

    def embed_in_html(self, fragment: str, attachments: Mapping[str, Any]) -> str:
        """Embed the images of a piece of HTML."""
        if "<img" not in fragment and "<IMG" not in fragment:
            return fragment

        def replace(match: re.Match[str]) -> str:
            source = match[2].strip("\"'")
            found = self.embed(source, attachments)
            return match[0] if found == source else f'{match[1]}"{found}"'

        return _SOURCE.sub(replace, fragment)

    def _read(self, source: str) -> str | None:
        assert self._root
        plain = re.split("[?#]", source, maxsplit=1)[0]
        for name in dict.fromkeys([source, unquote(plain)]):
            mime = mimetypes.guess_type(name)[0]
            if mime not in FORMATS:
                continue
            try:
                path = Path(self._root, name).resolve()
                inside = path.is_relative_to(self._root) and path.is_file()
                if inside and path.stat().st_size <= _MAX_BYTES:
                    content = base64.b64encode(path.read_bytes()).decode("ascii")
                    return f"data:{mime};base64,{content}"
            except (OSError, ValueError, RuntimeError):  # a null byte in the name; a loop of links
                continue
        return None
