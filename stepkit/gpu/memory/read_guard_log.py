"""Read the log of RMM's guard, JSON lines that the guard inside the kernel writes."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import StepError
from stepkit.formats import sizes
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

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
_COUNTS: Final = (
    "peak_bytes",
    "total_bytes",
    "total_count",
    "cupy_bytes",
    "cupy_limit",
    "overflow_bytes",
)
_MOST: Final = 100  # calls, and warnings, of a notebook that sets RMM up in a loop
_MALFORMED: Final = (
    ArithmeticError,  # infinity in place of a number of bytes
    AttributeError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One set-up of RMM: the resource that was ``asked``, and the one that was ``served``.

    ``arguments`` are those of the notebook, empty when ``--rmm-mode`` set RMM up. ``tried`` holds
    one line for each rung that failed. ``error`` is the one that the notebook got; ``cuda`` the
    name of CUDA's error when no GPU was found.
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
class GuardLog:
    """What the guard recorded in a run; bytes and counts are of the process that used most.

    ``active`` is whether it ran at all, ``rmm`` whether RMM was imported, ``allocator`` a phrase
    that says what handed out the memory, ``kind`` what kind of allocator that was (None: unknown),
    ``lowered`` whether that is less than what was asked. ``peak``, ``total`` and ``allocations``
    count what went through RMM since it was set up; None is unknown. ``cupy`` is what CuPy's own
    pool held at the end, ``cupy_limit`` its limit (0: none), ``overflow`` the most that exceeded
    what the GPU had free. ``pages_leave`` is whether pages of managed memory can leave the GPU,
    ``libraries`` which of cudf and cuml were imported, ``version`` that of RMM. ``children`` are
    further processes that were guarded, ``torn`` lines that could not be read.

    When there are many ``calls``, those between the first and the last are left out and counted in
    ``more_calls``; ``warnings`` has each text once, and only the first of many.
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
    cupy_limit: int | None = None
    overflow: int | None = None
    kind: str | None = None
    pages_leave: bool | None = None
    libraries: tuple[str, ...] = ()
    version: str | None = None
    warnings: tuple[str, ...] = ()
    children: int = 0
    torn: int = 0


def read(path: Path) -> GuardLog:
    """Return the log in ``path``; without that file, one that says that the guard was not active.

    A log that cannot be read is mentioned in ours, so that it does not hide how the notebook ended.
    """
    try:
        content = atomic_files.read(path) if path.exists() else b""
    except StepError as error:
        logger.warning("the log of the guard is lost: %s", error)
        return GuardLog(allocator="unknown: the guard's report cannot be read")
    return parse(content.decode("utf-8", "replace").splitlines())


def parse(lines: Iterable[str]) -> GuardLog:
    """Return what ``lines`` say; those that a killed process left torn are counted in ``torn``."""
    events, torn = _events(lines)
    pids = [event["pid"] for event in events if event["event"] == "installed"]
    if not pids:
        return GuardLog(torn=torn)
    own = [event for event in events if event["pid"] == pids[0]]
    calls = [_call(event) for event in events if event["event"] == "reinitialize"]
    seen = [event for event in own if event["event"] == "statistics"]
    allocator, kind = _serving(own)
    served = [call for call in calls if call.pid == pids[0] and call.served]
    more = max(len(calls) - _MOST, 0)
    if more:
        calls = [*calls[: _MOST // 2], *calls[-_MOST // 2 :]]
    warnings = [str(event["text"]) for event in events if event["event"] == "warning"]
    counted = [event for event in events if event["event"] == "statistics"]
    overflow = _most(counted, "overflow_bytes")
    if overflow:
        warnings.append(
            f"RMM handed out up to {sizes.spell(overflow)} more than the GPU had free: pages move "
            "between it and the host, which is slow"
        )
    return GuardLog(
        active=True,
        rmm=any(event["event"] == "imported" for event in events),
        allocator=allocator,
        lowered=bool(served) and served[-1].lowered,
        calls=tuple(calls),
        more_calls=more,
        peak=_most(counted, "peak_bytes"),
        total=_most(counted, "total_bytes"),
        allocations=_most(counted, "total_count"),
        cupy=_most(counted, "cupy_bytes"),
        cupy_limit=_most(counted, "cupy_limit"),
        overflow=overflow,
        kind=kind,
        pages_leave=next(
            (e["pages_leave"] for e in seen if e.get("pages_leave") is not None), None
        ),
        version=next((str(e["version"]) for e in own if e.get("version")), None),
        libraries=tuple(dict.fromkeys(name for e in seen for name in e.get("libraries", ()))),
        warnings=tuple(dict.fromkeys(warnings))[:_MOST],
        children=len(set(pids)) - 1,
        torn=torn,
    )


def _events(lines: Iterable[str]) -> tuple[list[dict[str, Any]], int]:
    """Return the events in ``lines``, and how many lines are not one."""
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
    """Refuse JSON that is not an event: a line of the notebook, or the rest of a torn one."""
    if not isinstance(event["pid"], int) or not isinstance(event["event"], str):
        raise TypeError
    if event["event"] == "reinitialize":
        _chosen(event) if _call(event).served else event["by"]
    elif event["event"] == "warning":
        event["text"]
    elif event["event"] == "statistics":
        counts = [event.get(name) for name in _COUNTS]
        texts = [event.get("resource"), event.get("kind"), *event.get("libraries", ())]
        if not all(isinstance(text, str | None) for text in texts) or not all(
            isinstance(count, int | None) for count in (*counts, event.get("pages_leave"))
        ):
            raise TypeError
        for count in counts:
            sizes.spell(count or 0)  # raises for one that is too large for a float


def _call(event: dict[str, Any]) -> Call:
    asked, served = event["asked"], event["served"]
    return Call(
        pid=event["pid"],
        arguments=str(event["arguments"]),
        asked=_resource(asked),
        served=served and _resource(served),
        lowered=bool(served) and served["rung"] not in {"asked", "overflow"},
        tried=tuple(f"{_resource(rung)}: {rung['error']}" for rung in event["tried"]),
        error=event["error"] and str(event["error"]),
        cuda=event["cuda"] and str(event["cuda"]),
    )


def _serving(events: Sequence[dict[str, Any]]) -> tuple[str, str | None]:
    """Return a phrase for what handed out memory in the kernel itself, and its kind if known."""
    chosen, refused, found, imported = None, None, None, False
    held, limit = None, None
    for event in events:  # in their order: the last one counts
        imported = imported or event["event"] == "imported"
        if event["event"] == "reinitialize":
            chosen, refused = (event, None) if event["served"] else (chosen, event)
        elif event["event"] == "statistics" and event.get("resource"):
            found = event
            chosen = chosen if event.get("ours") else None
        elif event["event"] == "statistics":
            held, limit = event.get("cupy_bytes"), event.get("cupy_limit")
    if chosen:
        return _chosen(chosen), str(chosen["served"]["kind"])
    if refused:
        return f"none: {refused['error']}".replace("none: GpuMissing: ", "none: "), None
    if not imported:
        if held is None:
            return "not RMM: nothing imported it", None
        bound = f", limited to {sizes.spell(limit)}" if limit else ""
        return f"CuPy's own pool{bound}: nothing imported RMM", "cupy"
    if found is None or found["resource"] == "CudaMemoryResource":
        return "plain CUDA, RMM's default: the notebook did not set RMM up", "cuda"
    kind = _CLASSES.get(found["resource"])
    name = _NAMES[kind] if kind else found["resource"]
    return f"{name}, as the notebook or a library set it up", found.get("kind")


def _chosen(event: dict[str, Any]) -> str:
    """Return a phrase for what serves since a set-up, and why it is not what was asked."""
    phrase = _resource(event["served"])
    if event["served"]["rung"] == "overflow":
        return f"{phrase}, for --rmm-overflow"
    if event["served"]["rung"] == "asked":
        return f"{phrase}, as {'asked' if event['by'] == 'notebook' else '--rmm-mode asks'}"
    asked, tried = _resource(event["asked"]), event["tried"]
    article = "" if asked.startswith("CUDA's") else "the "
    full = tried and str(tried[0]["error"]).startswith("MemoryError")
    return f"{phrase}: {article}{asked} {'did not fit' if full else 'was refused'}"


def _resource(rung: dict[str, Any]) -> str:
    name, count = _NAMES.get(rung["kind"], str(rung["kind"])), rung["bytes"]
    if count is None:
        return name
    return f"{name} of {sizes.spell(int(count))}"


def _most(events: Sequence[dict[str, Any]], name: str) -> int | None:
    return max((event[name] for event in events if event.get(name) is not None), default=None)
