"""What the guard inside the kernel told, read from its JSON lines."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stepkit.formats import sizes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NAMES: Final = {
    "cuda": "plain CUDA",
    "pool": "pool",
    "managed": "managed memory",
    "managed pool": "pool of managed memory",
    "async": "CUDA's async pool",
    "cupy": "CuPy's own pool",
}
_CLASSES: Final = {
    "CudaMemoryResource": "cuda",
    "PoolMemoryResource": "pool",
    "ManagedMemoryResource": "managed",
    "CudaAsyncMemoryResource": "async",
}
_COUNTS: Final = ("peak_bytes", "total_bytes", "total_count", "cupy_bytes", "overflow_bytes")
_MOST: Final = 100  # calls, and warnings, of a notebook that sets RMM up in a loop
_MALFORMED: Final = (
    ArithmeticError,  # a number that is none
    AttributeError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One set-up of RMM: what was asked, what was tried in vain, and what serves since.

    ``arguments`` are the notebook's own, empty when the mode set RMM up unasked. ``tried`` holds
    one line for each rung that failed. ``error`` is what the notebook got to see; ``cuda`` the
    name of CUDA's own error when there was no GPU to be had.
    """

    pid: int
    arguments: str
    asked: str
    served: str | None
    lowered: bool
    tried: tuple[str, ...] = ()
    error: str | None = None
    cuda: str | None = None


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the guard told of a run; bytes and counts are of the process that used most.

    ``active`` is whether it ran at all, ``rmm`` whether RMM was imported, ``allocator`` who handed
    out the memory in one phrase, ``lowered`` whether that is less than what was asked. ``peak``,
    ``total`` and ``allocations`` count what went through RMM since it was set up; None is unknown.
    ``cupy`` is what CuPy's own pool held at the end. ``overflow`` is the most that lay on the host.
    ``children`` are further processes that were guarded, ``torn`` lines that could not be read.

    Of many ``calls`` there are the first and the last, and ``more_calls`` between them; of
    ``warnings`` each text once, and the first of many.
    """

    active: bool = False
    rmm: bool = False
    allocator: str = "unknown: the guard was not active"
    lowered: bool = False
    calls: tuple[Call, ...] = ()
    more_calls: int = 0
    peak: int | None = None
    total: int | None = None
    allocations: int | None = None
    cupy: int | None = None
    overflow: int | None = None
    warnings: tuple[str, ...] = ()
    children: int = 0
    torn: int = 0


def told(lines: Iterable[str]) -> Told:
    """Return what ``lines`` tell; one that is no event is counted in ``torn``."""
    events, torn = _events(lines)
    pids = [event["pid"] for event in events if event["event"] == "installed"]
    if not pids:
        return Told(torn=torn)
    own = [event for event in events if event["pid"] == pids[0]]
    calls = [(event, _call(event)) for event in events if event["event"] == "reinitialize"]
    first = [call for event, call in calls if event["pid"] == pids[0] and call.served]
    warnings = [str(event["text"]) for event in events if event["event"] == "warning"]
    counted = [event for event in events if event["event"] == "statistics"]
    return Told(
        active=True,
        rmm=any(event["event"] == "imported" for event in events),
        allocator=_allocator(own),
        lowered=bool(first) and first[-1].lowered,
        calls=_ends([call for _, call in calls]),
        more_calls=max(len(calls) - _MOST, 0),
        peak=_most(counted, "peak_bytes"),
        total=_most(counted, "total_bytes"),
        allocations=_most(counted, "total_count"),
        cupy=_most(counted, "cupy_bytes"),
        overflow=_most(counted, "overflow_bytes"),
        warnings=tuple(dict.fromkeys(warnings))[:_MOST],
        children=len(set(pids)) - 1,
        torn=torn,
    )


def _ends(calls: Sequence[Call]) -> tuple[Call, ...]:
    """Return all calls, or of many the first half of the most that are kept, and the last."""
    if len(calls) <= _MOST:
        return tuple(calls)
    return (*calls[: _MOST // 2], *calls[-_MOST // 2 :])


def _events(lines: Iterable[str]) -> tuple[list[dict[str, Any]], int]:
    events, torn = [], 0
    for line in lines:
        try:
            event = json.loads(line)
            _check(event)
        except _MALFORMED:
            torn += 1
        else:
            events.append(event)
    return events, torn


def _check(event: dict[str, Any]) -> None:
    """Refuse what only looks like an event: a line of the notebook's, or the rest of one."""
    if not isinstance(event["pid"], int) or not isinstance(event["event"], str):
        raise TypeError
    if event["event"] == "reinitialize":
        _chosen(event) if _call(event).served else event["by"]
    elif event["event"] == "warning":
        event["text"]
    elif event["event"] == "statistics":
        counts = [event.get(name) for name in _COUNTS]
        if not isinstance(event.get("resource"), str | None) or not all(
            isinstance(count, int | None) for count in counts
        ):
            raise TypeError


def _call(event: dict[str, Any]) -> Call:
    asked, served = event["asked"], event["served"]
    return Call(
        pid=event["pid"],
        arguments=str(event["arguments"]),
        asked=_resource(asked),
        served=served and _resource(served),
        lowered=bool(served) and served["rung"] != "asked",
        tried=tuple(f"{_resource(rung)}: {rung['error']}" for rung in event["tried"]),
        error=event["error"] and str(event["error"]),
        cuda=event["cuda"] and str(event["cuda"]),
    )


def _allocator(events: Sequence[dict[str, Any]]) -> str:
    """Say in one phrase who handed out memory in the kernel itself."""
    chosen, refused, found, imported = None, None, None, False
    for event in events:  # in their order: what came last holds
        imported = imported or event["event"] == "imported"
        if event["event"] == "reinitialize":
            chosen, refused = (event, None) if event["served"] else (chosen, event)
        elif event["event"] == "statistics" and event.get("resource"):
            found = event["resource"]
            chosen = chosen if event.get("ours") else None
    if chosen:
        return _chosen(chosen)
    if refused:
        return f"none: {refused['error']}".replace("none: GpuMissing: ", "none: ")
    if not imported:
        return "not RMM: nothing imported it"
    if found in {None, "CudaMemoryResource"}:
        return "plain CUDA, RMM's default: the notebook did not set RMM up"
    kind = _CLASSES.get(found)
    return f"{_NAMES[kind] if kind else found}, as the notebook or a library set it up"


def _chosen(event: dict[str, Any]) -> str:
    served, asked = event["served"], event["asked"]
    phrase = _resource(served)
    if served["rung"] != "asked":
        return f"{phrase}: {_with_article(_resource(asked))} {_verb(event['tried'])}"
    return f"{phrase}, as {'asked' if event['by'] == 'notebook' else '--rmm-mode asks'}"


def _with_article(resource: str) -> str:
    return resource if resource.startswith("CUDA's") else f"the {resource}"


def _verb(tried: Sequence[dict[str, Any]]) -> str:
    full = tried and str(tried[0]["error"]).startswith("MemoryError")
    return "did not fit" if full else "was refused"


def _resource(rung: dict[str, Any]) -> str:
    name, count = _NAMES.get(rung["kind"], str(rung["kind"])), rung["bytes"]
    if count is None:
        return name
    return f"{name} of {sizes.spell(int(count))}"


def _most(events: Sequence[dict[str, Any]], name: str) -> int | None:
    return max((event[name] for event in events if event.get(name) is not None), default=None)
