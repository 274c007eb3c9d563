"""The mount points that the kernel lists, bind mounts of the same disk included."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_TABLE: Final = Path("/proc/self/mountinfo")  # proc(5)
_POINT: Final = 4  # the field of a line that names the mount point


def table() -> list[tuple[Path, str]]:
    """Return each mount point and its type of file system, in the order of mounting.

    Empty where /proc/self/mountinfo cannot be read.
    """
    try:
        lines = _TABLE.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        fields, _, rest = line.partition(" - ")
        point = fields.split()[_POINT].encode(errors="surrogateescape").decode("unicode_escape")
        found.append((Path(os.fsdecode(point.encode("latin-1", "ignore"))), rest.split()[0]))
    return found


def file_system(path: Path) -> str:
    """Return the type of file system that contains ``path``, such as ``ext4``; empty if unknown."""
    real = Path(os.path.realpath(path))
    above = [(point, kind) for point, kind in table() if real.is_relative_to(point)]
    # The longest mount point contains the path; a later mount at the same place hides an earlier.
    return max(reversed(above), key=lambda entry: len(entry[0].parts), default=(None, ""))[1]


def inside(path: Path) -> list[Path]:
    """Return what is mounted at ``path`` or below it."""
    real = Path(os.path.realpath(path))
    return [point for point, _ in table() if point.is_relative_to(real)]
