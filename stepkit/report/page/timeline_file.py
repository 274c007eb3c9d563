"""Read a timeline beside a run's record, and refuse what is torn, hostile or too large."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import StepError
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA: Final = "stepkit.timeline/1"
_MOST_PACKED: Final = 16 << 20  # bytes; a file of ours has a tenth of that
_MOST_BYTES: Final = 64 << 20  # unpacked
_MOST_ROWS: Final = 100_000
_MOST_DEVICES: Final = 64

Timelines = Callable[[str], dict[str, Any] | None]


def beside(directory: Path) -> Timelines:
    """Return a function that reads a timeline by its path, which is relative to ``directory``."""
    return lambda path: read(directory / path)


def read(path: Path) -> dict[str, Any] | None:
    """Return the content of a ``NAME.timeline.json.gz``, None if it is not one.

    In what is returned, ``seconds`` are finite, ascend, and are as many as the rows of each of
    ``columns``, whose values are finite numbers or None; ``devices`` and ``xids`` are lists of
    mappings.
    """
    try:
        if path.stat().st_size > _MOST_PACKED:
            return None
        unpacker = zlib.decompressobj(wbits=31)  # of gzip
        text = unpacker.decompress(atomic_files.read(path), _MOST_BYTES)
        data = json.loads(text) if unpacker.eof else None
    except (OSError, StepError, zlib.error, ValueError, RecursionError):
        return None
    return data if _is_timeline(data) else None


def _is_timeline(data: Any) -> bool:
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        return False
    seconds, columns = data.get("seconds"), data.get("columns")
    lists = [data.get("devices"), data.get("xids")]
    if not isinstance(seconds, list) or not isinstance(columns, dict):
        return False
    if len(seconds) > _MOST_ROWS or not all(map(_is_number, seconds)) or seconds != sorted(seconds):
        return False
    if not all(isinstance(found, list) and len(found) <= _MOST_ROWS for found in lists):
        return False
    if not all(isinstance(entry, dict) for found in lists for entry in found or ()):
        return False
    return len(data["devices"]) <= _MOST_DEVICES and all(
        isinstance(column, list)
        and len(column) == len(seconds)
        and all(value is None or _is_number(value) for value in column)
        for column in columns.values()
    )


def _is_number(value: Any) -> bool:
    return (type(value) is int or type(value) is float) and math.isfinite(value)
