"""Backups of replaced directories, named ``NAME.backup-TIME`` with TIME in UTC."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_NAME: Final = re.compile(r"(?P<name>.+)\.backup-(?P<time>\d{8}T\d{6,}Z)", re.ASCII | re.DOTALL)
_TIME: Final = "%Y%m%dT%H%M%S%fZ"
_LONGEST_NAME: Final = 255  # bytes, of a file on Linux


def path_for(path: Path) -> Path:
    """Return where a backup of ``path`` goes, made now: beside it, its name cut if too long."""
    suffix = f".backup-{datetime.now(UTC).strftime(_TIME)}"
    name = os.fsencode(path.name)[: _LONGEST_NAME - len(suffix)]
    return path.with_name(name.decode(errors="ignore") + suffix)  # "ignore" cuts no character


def is_backup(path: Path) -> bool:
    """Return whether ``path`` has the name of a backup."""
    return _NAME.fullmatch(path.name) is not None


def parse(backup: Path) -> tuple[Path, datetime] | None:
    """Return what ``backup`` is a backup of and when it was made; None for any other name."""
    found = _NAME.fullmatch(backup.name)
    if not found:
        return None
    try:
        made = datetime.strptime(found["time"], _TIME).replace(tzinfo=UTC)
    except ValueError:  # 20269999T…
        return None
    # strptime also reads a time with fewer digits, which no backup of stepkit has.
    return (backup.with_name(found["name"]), made) if f"{made:{_TIME}}" == found["time"] else None
