"""The memory limit and use of this container, as its cgroup (v1 or v2) counts them."""

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
        limit
        for directory in _directories()
        for name in ("memory.max", "memory.limit_in_bytes")
        if (limit := _number(directory / name)) is not None and limit < _NO_LIMIT
    ]
    return min(limits, default=None)


def memory_free() -> int | None:
    """Return how many bytes this container may still take, None if it has no limit.

    Cached files that were not used lately count as free, because the kernel drops them first. Of
    nested groups the tightest counts.
    """
    free = []
    for directory in _directories():
        # Version 2, then version 1: the limit, what is used of it, and the line for cached files.
        for limit, usage, cached in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            size, used = _number(directory / limit), _number(directory / usage)
            if size is None or used is None or size >= _NO_LIMIT:
                continue
            words = [line.split() for line in _lines(directory / "memory.stat")]
            spare = sum(int(word[1]) for word in words if word[:1] == [cached])
            free.append(max(size - max(used - spare, 0), 0))
            break
    return min(free, default=None)


def _number(path: Path) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdigit() else None


def _directories() -> Iterator[Path]:
    """Yield this process's own groups, innermost first, then what a container sees as its root.

    A container with a cgroup namespace is at the root of what it sees. A container without one
    finds its files at that root, too, while the path in /proc/self/cgroup does not exist.
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
