"""Refuse to write what the disk has no room for, before the first byte of it is written."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from stepkit.errors import Reason, ToolError
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from pathlib import Path


def check(directory: Path, needed: int, what: str) -> None:
    """Raise :class:`ToolError` unless ``needed`` bytes for ``what`` fit into ``directory``."""
    with atomic_files.explaining(f"cannot read the free space of {directory}"):
        free = shutil.disk_usage(directory).free
    if needed > free:
        raise ToolError(
            f"{directory} has {free / 1e6:.1f} MB of free space, and {what} needs "
            f"{needed / 1e6:.1f} MB: free some and run again",
            reason=Reason.DISK_FULL,
        )
