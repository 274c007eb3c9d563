"""What a page says to the browser before anything of the notebook: what it may load and run."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TEMPLATES: Final = Path(__file__).with_name("templates")

# Nothing is fetched and no script runs. What a policy does not cover (a refresh, a link that
# connects) is taken out of the notebook's fragments.
_POLICY: Final = (
    "default-src 'none'; img-src data:; media-src data:; font-src data:; "
    "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)
# Scripts that are in the page run; still nothing comes from elsewhere.
_TRUSTING: Final = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "worker-src blob: data:; connect-src data: blob:; img-src data: blob:; media-src data: blob:; "
    "font-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)
_START: Final = re.compile(
    r"\s*<!DOCTYPE[^<>]*>\s*<html[^<>]*>\s*<head(?:\s[^<>]*)?>", re.IGNORECASE
)
_LOOK: Final = 1000  # characters in which a page's head begins


def with_head(pieces: Iterable[str], *, trusted: bool) -> Iterator[str]:
    """Yield the page with our head first in its own; a template without one gets a small one."""
    stream = iter(pieces)
    start = ""
    for piece in stream:
        start += piece
        if len(start) >= _LOOK:
            break
    start = start.lstrip()
    found = _START.match(start)
    at = found.end() if found else 0
    doctype = "" if found else "<!DOCTYPE html>\n"
    yield from chain([doctype, start[:at], "\n", _head(trusted=trusted), start[at:]], stream)


def _head(*, trusted: bool) -> str:
    policy = _TRUSTING if trusted else _POLICY
    style = (_TEMPLATES / "page.css").read_text(encoding="utf-8")
    script = (_TEMPLATES / "modules.js").read_text(encoding="utf-8") if trusted else ""
    return (
        '<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta http-equiv="x-dns-prefetch-control" content="off">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<style>\n{style}</style>\n" + (f"<script>\n{script}</script>\n" if script else "")
    )
