"""The ways in which RMM can be set up, and which come below which."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .read_guard_request import Settings, Size

ALIGNMENT = 256  # bytes; RMM refuses sizes of pools that are no multiple of it
GROWING = 256 << 20  # bytes; the first size of a pool that is to grow as needed

# As RMM reads sizes (rmm/pylibrmm/helper.pyx).
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]*)?)[\t ]*(?:([kmgtp]?)(i?)b)?", re.IGNORECASE)


class Setup(NamedTuple):
    """One way to set RMM up.

    ``rung`` is its place on the ladder, ``kind`` one of cuda, pool, managed, managed pool, async.
    Sizes are bytes, None, or what the notebook wrote.
    """

    rung: str
    kind: str
    initial: int | str | None = None
    maximum: int | str | None = None
    threshold: int | None = None

    @property
    def pooled(self) -> bool:
        """Whether a pool is taken from CUDA, by RMM itself."""
        return self.kind in {"pool", "managed pool"}

    def told(self, error: str | None = None) -> dict[str, Any]:
        """Return what the report says of it."""
        size = in_bytes(self.initial) if self.pooled or self.kind == "async" else None
        return {"rung": self.rung, "kind": self.kind, "bytes": size, "error": error}


def asked(arguments: dict[str, Any]) -> Setup:
    """Return what the arguments of ``rmm.reinitialize`` ask for."""
    pool, managed = bool(arguments["pool_allocator"]), bool(arguments["managed_memory"])
    kind = " ".join([word for word, on in (("managed", managed), ("pool", pool)) if on]) or "cuda"
    sizes = (arguments["initial_pool_size"], arguments["maximum_pool_size"]) if pool else ()
    return Setup("asked", kind, *sizes)


def ordered(settings: Settings, free: int) -> Setup:
    """Return what an overriding mode asks for, with ``free`` bytes of GPU memory.

    Of a size in bytes and a share only the GPU tells which is the larger one: a pool does not
    begin above its maximum.
    """
    maximum = resolved(settings.maximum, free)
    initial = _at_most(resolved(settings.initial, free), maximum)
    threshold = resolved(settings.release_threshold, free)
    return Setup("asked", settings.mode, initial, maximum, threshold)


def resolved(size: Size, free: int) -> int | None:
    """Return a size of ours in bytes that RMM takes."""
    if size is None:
        return None
    return aligned(int(size * free) if isinstance(size, float) else size)


def lower(first: Setup, free: int) -> Iterator[Setup]:
    """Yield what to try when ``first`` failed, with ``free`` bytes of GPU memory."""
    maximum = in_bytes(first.maximum)
    maximum = None if maximum is None else aligned(maximum)
    if first.pooled:
        size = in_bytes(first.initial)
        pool = first._replace(maximum=maximum)
        for rung, smaller in (
            ("rounded", None if size is None else aligned(size)),
            ("half", aligned(free // 2)),
            ("growing", GROWING),
        ):
            if _is_less(smaller, size, rung):
                yield pool._replace(rung=rung, initial=_at_most(smaller, maximum))
                size = smaller
        if first.kind == "managed pool":
            yield Setup("plain", "managed", maximum=maximum)
    elif first.kind == "async":
        yield Setup("growing", "pool", _at_most(GROWING, maximum), maximum)
    yield Setup("plain", "cuda", maximum=maximum)


def aligned(size: int) -> int:
    """Return the largest size up to ``size`` that RMM takes."""
    return size // ALIGNMENT * ALIGNMENT


def in_bytes(size: Any) -> int | None:
    """Return a size as RMM reads it, None for none and for what RMM does not read."""
    if size is None or isinstance(size, int):
        return size
    found = _SIZE.fullmatch(size) if isinstance(size, str) else None
    if not found:
        return None
    unit = 1024 if found[3] else 1000
    return int(float(found[1]) * unit ** (" kmgtp".index((found[2] or " ").lower())))


def _is_less(smaller: int | None, size: int | None, rung: str) -> bool:
    """Tell whether a rung is worth a try after ``size``; RMM's own size is half of what is free."""
    if smaller is None or smaller <= 0:
        return False
    return rung != "half" if size is None else smaller < size


def _at_most(size: int | None, maximum: int | None) -> int | None:
    return size if size is None or maximum is None else min(size, maximum)
