"""Web addresses of artifacts, and which of them the link of a run leads to."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from urllib.parse import quote

from stepkit.artifacts.manifest import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Sequence


def first_page(names: Sequence[str], later: Sequence[str]) -> str:
    """Return the best of ``names`` to open first; those that match ``later`` summarize the run.

    A page comes before another summary, and else the first pattern counts. It is ``""``, the
    directory itself, when none of them is a page, a summary or the manifest.
    """
    summaries = [name for pattern in later for name in names if fnmatchcase(name, pattern)]
    pages = [name for name in (*summaries, *names) if name.endswith(".html")]
    summary_pages = [name for name in summaries if name.endswith(".html")]
    lists = [name for name in names if name == MANIFEST]
    return next(iter((*summary_pages, *summaries, *pages, *lists)), "")


def address(base: str, prefix: str, name: str) -> str:
    """Return the web address of ``name`` below ``base``; names need not be UTF-8."""
    path = quote(name, errors="surrogateescape")
    return "/".join(filter(None, (base.rstrip("/"), quote(prefix), path)))
