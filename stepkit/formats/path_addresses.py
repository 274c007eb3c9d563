"""Addresses such as ``s3://bucket/a.ipynb`` where a path is expected.

A path holds an address with one slash, ``s3:/bucket/a.ipynb``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

# Those that papermill reads or writes; only some can be used here.
_SCHEMES: Final = ("s3", "gs", "http", "https", "adl", "abs", "hdfs", "github")


def address(path: Path) -> str:
    """Return the address that ``path`` holds, "" for the path of a file."""
    scheme, separator, rest = str(path).partition(":/")
    return f"{scheme}://{rest}" if separator and scheme in _SCHEMES else ""


def check(text: str) -> None:
    """Refuse an address that a path cannot hold, or that may hold a secret.

    Raises :class:`ValueError`, which quotes neither a password nor a query.
    """
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in _SCHEMES:
        return
    if set(rest) & {"?", "#", "@"}:
        raise ValueError(
            f"an address such as {scheme}://... is used without user, ? and #, which may hold a "
            "secret: download the file first, and name it"
        )
    if address(Path(text)) != text:
        raise ValueError(f"{text!r} holds //, /./ or a last slash: download the file first")
