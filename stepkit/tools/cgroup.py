"""What the kernel's memory controller counted for this container."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_COUNTERS: Final = (
    Path("/sys/fs/cgroup/memory.events"),  # cgroup v2
    Path("/sys/fs/cgroup/memory/memory.oom_control"),  # cgroup v1
)
_LIMITS: Final = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_NO_LIMIT: Final = 1 << 60  # bytes; cgroup v1 spells "no limit" as a number near 2**63


def oom_kills() -> int | None:
    """Return how many processes the OOM killer ended in this container, None if unknown."""
    for path in _COUNTERS:
        for line in _lines(path):
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return None


def memory_limit() -> int | None:
    """Return the container's memory limit in bytes, None if it has none."""
    for path in _LIMITS:
        for line in _lines(path):
            if line.isdigit() and int(line) < _NO_LIMIT:
                return int(line)
    return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
