"""Backups of replaced directories: ``NAME.backup-TIME`` in UTC, and an earlier workflow's names."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_NAME: Final = re.compile(r"(?P<name>.+)\.backup-(?P<time>\d{8}T\d{6,}Z)", re.ASCII | re.DOTALL)
_TIME: Final = "%Y%m%dT%H%M%S%fZ"
_LEGACY_NAME: Final = re.compile(r".+_backup_(?P<time>\d{8}_\d{6})", re.ASCII | re.DOTALL)
_LEGACY_TIME: Final = "%Y%m%d_%H%M%S"
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


def parse_legacy(backup: Path) -> datetime | None:
    """Return when ``NAME_backup_YYYYmmdd_HHMMSS`` was made, read as UTC; None for another name.

    That is how the workflow which stepkit replaces named them, in the time zone of its pod.
    """
    found = _LEGACY_NAME.fullmatch(backup.name)
    try:
        return datetime.strptime(found["time"], _LEGACY_TIME).replace(tzinfo=UTC) if found else None
    except ValueError:  # 20269999_...
        return None
