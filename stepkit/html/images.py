"""The images that a notebook's text refers to, put into the page."""

from __future__ import annotations

import base64
import mimetypes
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ATTACHMENT: Final = "attachment:"
_LARGEST: Final = 64 * 2**20  # bytes of a file that a page takes in
_BASE64: Final = re.compile(r"[A-Za-z0-9+/=\s]*")
_SOURCE: Final = re.compile(
    r"""(<img\b[^<>]{0,2000}?\ssrc\s*=\s*)("[^"<>]*"|'[^'<>]*'|[^\s"'<>]+)""", re.IGNORECASE
)
# What a page shows of several forms, the best first.
FORMS: Final = (
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/avif",
    "image/bmp",
)


def data_url(mime: str, content: str) -> str | None:
    """Return the ``data:`` URL of an image as a notebook holds it, or None if it holds none."""
    if mime == "image/svg+xml" and content.lstrip().startswith("<"):
        content = base64.b64encode(content.encode("utf-8", "replace")).decode("ascii")
    if not _BASE64.fullmatch(content):
        return None
    return f"data:{mime};base64,{''.join(content.split())}"


class Images:
    """Embeds images of one directory tree, and nothing outside of it, links included."""

    def __init__(self, directory: Path | None) -> None:
        self._root = directory.resolve() if directory else None

    def embedded(self, source: str, attachments: Mapping[str, Any]) -> str:
        """Return ``source`` as a ``data:`` URL; as it is, when there is no such image here."""
        if source.startswith(_ATTACHMENT):
            return _attached(source.removeprefix(_ATTACHMENT), attachments) or source
        if self._root is None or re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:|//", source):
            return source
        return self._read(source) or source

    def in_html(self, fragment: str, attachments: Mapping[str, Any]) -> str:
        """Embed the images of a piece of HTML."""
        if "<img" not in fragment and "<IMG" not in fragment:
            return fragment
        return _SOURCE.sub(self._replacer(attachments), fragment)

    def _replacer(self, attachments: Mapping[str, Any]) -> Callable[[re.Match[str]], str]:
        def replace(match: re.Match[str]) -> str:
            source = match[2].strip("\"'")
            found = self.embedded(source, attachments)
            return match[0] if found == source else f'{match[1]}"{found}"'

        return replace

    def _read(self, source: str) -> str | None:
        assert self._root
        plain = re.split("[?#]", source, maxsplit=1)[0]
        for name in dict.fromkeys([source, unquote(plain)]):
            mime = mimetypes.guess_type(name)[0]
            if mime in FORMS and (content := _content(self._root, name)) is not None:
                return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"
        return None


def _content(root: Path, name: str) -> bytes | None:
    """Read a file under ``root``; None if there is none that may be read."""
    try:
        path = Path(root, name).resolve()
        inside = path.is_relative_to(root) and path.is_file()
        return path.read_bytes() if inside and path.stat().st_size <= _LARGEST else None
    except (OSError, ValueError, RuntimeError):  # a name with a null byte; links in a circle
        return None


def _attached(name: str, attachments: Mapping[str, Any]) -> str | None:
    forms = attachments.get(name) or attachments.get(unquote(name)) or {}
    found = [form for form in FORMS if form in forms]
    content = forms[found[0]] if found else ""
    content = content if isinstance(content, str) else "".join(content)
    return data_url(found[0], content) if found else None
