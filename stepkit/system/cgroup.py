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


def memory_free() -> int | None:
    """Return how many bytes this container may still take, None if it has no limit.

    What is cached of files that nobody used of late counts as free: the kernel drops it first. Of
    nested groups the tightest counts.
    """
    rooms = (_room(directory) for directory in _directories())
    return min((room for room in rooms if room is not None), default=None)


def _room(directory: Path) -> int | None:
    # Version 2, then version 1: the limit, what is used of it, and the line for cached files.
    for limit, usage, cached in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        size, used = (_number(directory / name) for name in (limit, usage))
        if size is not None and used is not None and size < _NO_LIMIT:
            words = [line.split() for line in _lines(directory / "memory.stat")]
            spare = sum(int(word[1]) for word in words if word[:1] == [cached])
            return max(size - max(used - spare, 0), 0)
    return None


def _number(path: Path) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdigit() else None


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
