"""Say whether a disk takes any more."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def what_is_full(path: Path) -> str:
    """Return what the disk of ``path`` has none of, ``space`` or ``inodes``; ``""`` if it has both.

    A disk without inodes takes no further file, whatever its space.
    """
    found = os.statvfs(path)
    if not found.f_bavail:
        return "space"
    return "inodes" if found.f_files and not found.f_favail else ""  # btrfs counts none
