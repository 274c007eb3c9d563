"""The allocators with which RMM can be set up, and which of them needs less than another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .read_guard_request import Settings, Size

ALIGNMENT = 256  # bytes; RMM refuses pool sizes that are not a multiple of it
GROWING = 256 << 20  # bytes; the first size of a pool that is to grow as needed

# As RMM reads sizes (rmm/pylibrmm/helper.pyx).
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]*)?)[\t ]*(?:([kmgtp]?)(i?)b)?", re.IGNORECASE)


class Allocator(NamedTuple):
    """One way to set RMM up.

    ``rung`` is its place on the ladder, ``kind`` one of cuda, pool, managed, managed pool, async.
    Sizes are bytes, None, or what the notebook wrote. ``prefetch`` moves the pages of managed
    memory to the GPU as they are handed out. ``on_gpu`` is how many bytes the GPU itself may hold
    of an allocator that may overflow to the host, and ``free`` how many it had; else both are None.
    """

    rung: str
    kind: str
    initial: int | str | None = None
    maximum: int | str | None = None
    threshold: int | None = None
    prefetch: bool = False
    on_gpu: int | None = None
    free: int | None = None

    @property
    def managed(self) -> bool:
        """Whether its memory is managed: CUDA moves its pages between GPU and host."""
        return self.kind.startswith("managed")

    @property
    def pooled(self) -> bool:
        """Whether RMM itself takes a pool from CUDA."""
        return self.kind in {"pool", "managed pool"}

    def described(self, error: str | None = None) -> dict[str, Any]:
        """Return the allocator as the log shows it."""
        size = parse_size(self.initial) if self.pooled or self.kind == "async" else None
        return {"rung": self.rung, "kind": self.kind, "bytes": size, "error": error}


def asked_by_notebook(arguments: dict[str, Any]) -> Allocator:
    """Return what the arguments of ``rmm.reinitialize`` ask for."""
    pool, managed = bool(arguments["pool_allocator"]), bool(arguments["managed_memory"])
    kind = " ".join([word for word, on in (("managed", managed), ("pool", pool)) if on]) or "cuda"
    sizes = (arguments["initial_pool_size"], arguments["maximum_pool_size"]) if pool else ()
    return Allocator("asked", kind, *sizes)


def asked_by_mode(settings: Settings, free: Callable[[], int]) -> Allocator:
    """Return what an overriding mode asks for; ``free`` returns the GPU memory that shares are of.

    A pool does not begin above its maximum: which is larger, a size in bytes or a share, is known
    only on the GPU.
    """
    maximum = _resolve(settings.maximum, free)
    initial = _at_most(_resolve(settings.initial, free), maximum)
    threshold = _resolve(settings.release_threshold, free)
    return Allocator("asked", settings.mode, initial, maximum, threshold)


def overflowing(asked: Allocator, overflow: int, free: int) -> Allocator:
    """Return managed memory in place of ``asked``: ``overflow`` bytes more than the GPU has.

    A pool stays a pool. CUDA's async pool has no counterpart, and becomes a pool that grows.
    """
    maximum = parse_size(asked.maximum)
    on_gpu = free if maximum is None else min(free, maximum)
    limit = align(on_gpu + overflow)
    initial = GROWING if asked.kind == "async" and asked.initial is None else asked.initial
    size = parse_size(initial)
    return Allocator(
        "overflow",
        "managed" if asked.kind in {"cuda", "managed"} else "managed pool",
        initial if size is None else min(size, limit),
        limit,
        prefetch=True,
        on_gpu=on_gpu,
        free=free,
    )


def _resolve(size: Size, free: Callable[[], int]) -> int | None:
    """Return the bytes of a size in the settings."""
    if size is None:
        return None
    return align(int(size * free()) if isinstance(size, float) else size)


def lower_rungs(first: Allocator, free: int) -> Iterator[Allocator]:
    """Yield what to try when ``first`` failed, with ``free`` bytes of GPU memory."""
    maximum = parse_size(first.maximum)
    maximum = None if maximum is None else align(maximum)
    if first.pooled:
        size = parse_size(first.initial)
        pool = first._replace(maximum=maximum)
        for rung, smaller in (
            ("rounded", None if size is None else align(size)),
            ("half", align(free // 2)),
            ("growing", GROWING),
        ):
            if smaller is None or smaller <= 0:
                continue
            # Without a size, RMM itself takes half of what is free.
            if (rung != "half") if size is None else (smaller < size):
                yield pool._replace(rung=rung, initial=_at_most(smaller, maximum))
                size = smaller
        if first.managed:
            yield pool._replace(rung="plain", kind="managed", initial=None)
    elif first.kind == "async":
        yield Allocator("growing", "pool", _at_most(GROWING, maximum), maximum)
    yield Allocator("plain", "cuda", maximum=maximum if first.on_gpu is None else first.on_gpu)


def align(size: int) -> int:
    """Return the largest size up to ``size`` that RMM takes."""
    return size // ALIGNMENT * ALIGNMENT


def parse_size(size: Any) -> int | None:
    """Return the bytes of a size as RMM reads it, None for None and for what RMM cannot read."""
    if size is None or isinstance(size, int):
        return size
    found = _SIZE.fullmatch(size) if isinstance(size, str) else None
    if not found:
        return None
    unit = 1024 if found[3] else 1000
    return int(float(found[1]) * unit ** (" kmgtp".index((found[2] or " ").lower())))


def _at_most(size: int | None, maximum: int | None) -> int | None:
    return size if size is None or maximum is None else min(size, maximum)
