"""Pieces of HTML that come from the notebook, made fit for a page: by linear passes, no parser."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Final

from stepkit.html.sanitize import closed

if TYPE_CHECKING:
    from collections.abc import Iterator

_IMAGE: Final = re.compile(r"<img(?=[\s/>])(?![^<>]*\salt\s*[=\s/>])", re.IGNORECASE)

_FLAGS: Final = re.DOTALL | re.IGNORECASE
_SCRIPT: Final = re.compile(r"<(/?)(script|style)\b[^<>]*>?", _FLAGS)
_VISIBLE: Final = re.compile(r"<(?:img|svg|table|canvas|video|audio|input|button|math)\b", _FLAGS)


def settled(fragment: str, *, alt: str, trusted: bool) -> str:
    """Return the fragment closed, with alternative texts, and with nothing that acts by itself."""
    scripted = trusted and "<script" in fragment  # which may write images itself
    if not scripted and ("<img" in fragment or "<IMG" in fragment):
        fragment = _IMAGE.sub(lambda _: f'<img alt="{html.escape(alt)}"', fragment)
    return closed(fragment, trusted=trusted)


def drawn_by_script(fragment: str) -> bool:
    """Tell whether nothing of the fragment is there before a script runs."""
    if "<script" not in fragment.lower():
        return False
    rest = "".join(_outside_scripts(fragment))
    return not _VISIBLE.search(rest) and not re.sub(r"<[^<>]*>", "", rest).strip()


def _outside_scripts(fragment: str) -> Iterator[str]:
    end, within = 0, ""
    for match in _SCRIPT.finditer(fragment):
        closing, name = bool(match[1]), match[2].lower()
        if not within and not closing:
            yield fragment[end : match.start()]
            within = name
        elif within == name and closing:
            end, within = match.end(), ""
    if not within:
        yield fragment[end:]


def plain(markdown: str) -> str:
    """Return the words of one line of Markdown."""
    words = re.sub(r"!?\[([^\[\]]*)\]\([^()]*\)", r"\1", markdown)
    words = re.sub(r"<[^<>]*>", "", words)
    return " ".join(html.unescape(re.sub(r"[*`]|(?<!\w)_|_(?!\w)", "", words)).split())
