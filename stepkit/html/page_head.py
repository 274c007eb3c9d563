"""The start of a page's head: the Content-Security-Policy says what it may load and run."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TEMPLATES: Final = Path(__file__).with_name("templates")

# Nothing is loaded and no script runs. What a policy does not cover (a refresh, a preconnect) is
# removed from the notebook's HTML.
_POLICY: Final = (
    "default-src 'none'; img-src data:; media-src data:; font-src data:; "
    "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)
# Scripts in the page run, but nothing is loaded.
_TRUSTED_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "worker-src blob: data:; connect-src data: blob:; img-src data: blob:; media-src data: blob:; "
    "font-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)
_START: Final = re.compile(
    r"\s*<!DOCTYPE[^<>]*>\s*<html[^<>]*>\s*<head(?:\s[^<>]*)?>", re.IGNORECASE
)
_MAX_BEFORE_HEAD: Final = 1000  # characters


def add_head(pieces: Iterable[str], *, trusted: bool, dark: bool) -> Iterator[str]:
    """Yield the page with our elements first in its head, before anything of the notebook.

    The output of a template that writes no head gets a doctype, too. With ``dark``, a reader who
    prefers a dark scheme gets one: the template must take its colours from JupyterLab's variables.
    """
    policy = _TRUSTED_POLICY if trusted else _POLICY
    sheets = ["page.css", "dark.css"] if dark else ["page.css"]
    style = "".join((_TEMPLATES / name).read_text(encoding="utf-8") for name in sheets)
    script = (_TEMPLATES / "modules.js").read_text(encoding="utf-8") if trusted else ""
    head = (
        '<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta http-equiv="x-dns-prefetch-control" content="off">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<style>\n{style}</style>\n" + (f"<script>\n{script}</script>\n" if script else "")
    )
    stream = iter(pieces)
    start = ""
    for piece in stream:
        start += piece
        if len(start) >= _MAX_BEFORE_HEAD:
            break
    start = start.lstrip()
    found = _START.match(start)
    at = found.end() if found else 0
    doctype = "" if found else "<!DOCTYPE html>\n"
    yield from chain([doctype, start[:at], "\n", head, start[at:]], stream)
