"""Which of the artifacts people open first, and the web addresses of all."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from urllib.parse import quote

from stepkit.artifacts.manifest import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Sequence


def first_page(names: Sequence[str], later: Sequence[str]) -> str:
    """Choose one of ``names``; those that match ``later`` are about the whole run.

    It is ``""`` for the directory itself, where nothing is better.
    """
    about_all = [name for name in names if any(fnmatchcase(name, pattern) for pattern in later)]
    pages = [name for name in (*about_all, *names) if name.endswith(".html")]
    pages_about_all = [name for name in about_all if name.endswith(".html")]
    lists = [name for name in names if name == MANIFEST]
    return next(iter((*pages_about_all, *about_all, *pages, *lists)), "")


def address(base: str, prefix: str, name: str) -> str:
    """Return the web address of ``name`` below ``base``; a name may be no UTF-8."""
    path = quote(name, errors="surrogateescape")
    return "/".join(filter(None, (base.rstrip("/"), quote(prefix), path)))
