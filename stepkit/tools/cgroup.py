"""What the kernel's memory controller counted for this container, cgroup v1 or v2."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT: Final = Path("/sys/fs/cgroup")
_MEMBERSHIP: Final = Path("/proc/self/cgroup")
_NO_LIMIT: Final = 1 << 60  # bytes; cgroup v1 spells "no limit" as a number near 2**63


def oom_kills() -> int | None:
    """Return how many processes the OOM killer ended in this container, None if unknown."""
    for directory in _directories():
        for name in ("memory.events", "memory.oom_control"):
            for line in _lines(directory / name):
                word, _, count = line.partition(" ")
                if word == "oom_kill" and count.isdigit():
                    return int(count)
    return None


def memory_limit() -> int | None:
    """Return the container's memory limit in bytes, None if it has none.

    Of nested groups the tightest limit counts.
    """
    limits = [
        int(line)
        for directory in _directories()
        for name in ("memory.max", "memory.limit_in_bytes")
        for line in _lines(directory / name)
        if line.isdigit() and int(line) < _NO_LIMIT
    ]
    return min(limits, default=None)


def _directories() -> Iterator[Path]:
    """Yield this process's own groups, innermost first, then what a container sees as its root.

    A container with a cgroup namespace is at the root of what it sees; one without finds its own
    files there, too, under a path that names nothing.
    """
    for line in _lines(_MEMBERSHIP):
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and "memory" not in controllers.split(","):
            continue
        base = _ROOT / "memory" if controllers else _ROOT
        inner = Path(path.strip("/"))
        for part in [inner, *inner.parents]:
            yield base / part
    yield from (_ROOT, _ROOT / "memory")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
