"""The timeline of a notebook: its cells over what the GPUs and the kernel did meanwhile."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from stepkit.report.page import lane_path
from stepkit.report.page.page_template import memory
from stepkit.report.page.time_axis import Tick, TimeAxis
from stepkit.report.run_json_notebook import CellJson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stepkit.report.run_json_notebook import NotebookJson

COLUMNS: Final = 600  # pixels of a lane
_MANY_GPUS: Final = 2  # beyond it, lanes are lower
_CELLS_TOP: Final = 20  # pixels: the labels of the ticks are above
_CELLS_HEIGHT: Final = 24
_LABEL: Final = 32  # pixels above a lane
_RULE_LABEL: Final = 15  # pixels above a rule
_NUMBERED: Final = 2.6  # percent of the width: room for a cell's number
_NEAR: Final = 0.4  # of a limit: above it, the lane shows the limit
# NVML's bits of reasons for lower clocks that belong to a GPU at work: idle, a setting, the power
# limit, sync boost, the display. All others are a fault.
_USUAL_REASONS: Final = 0x1 | 0x2 | 0x4 | 0x10 | 0x100


@dataclass(frozen=True, kw_only=True)
class CellBar:
    """A cell; ``left`` and ``width`` are percent, ``number`` is empty where it has no room."""

    cell: CellJson
    left: float
    width: float
    number: str


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A level across a lane, ``y`` pixels below its top."""

    y: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One quantity over time; ``strips`` are (left, width) in percent where clocks were lower.

    ``highest`` spells the highest value, which is ``high`` pixels below the top of the lane.
    """

    name: str
    detail: str
    top: int
    height: int
    path: str
    highest: str
    high: float
    rules: list[Rule] = field(default_factory=list)
    strips: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Chart:
    """What to draw; ``events`` are ticks in time that the driver reported.

    ``before`` is the share of the width, in percent, in which the kernel started.
    """

    height: int
    columns: int
    before: float
    ticks: list[Tick]
    cells: list[CellBar]
    cells_top: int
    cells_height: int
    lanes: list[Lane]
    events: list[Tick]


@dataclass(frozen=True, kw_only=True)
class _Quantity:
    """The samples of a lane, and how its scale ends: at ``top``, or above the highest value."""

    name: str
    detail: str
    seconds: Sequence[float]
    column: lane_path.Column
    top: float
    height: int
    spell: Callable[[float], str]
    rules: Sequence[tuple[float, str]] = ()
    throttled: lane_path.Column = ()


def draw(
    notebook: NotebookJson, timeline: Mapping[str, Any] | None, columns: int = COLUMNS
) -> Chart | None:
    """Return the chart of a notebook, None where neither cells nor samples have times.

    ``timeline`` is what :mod:`~stepkit.report.page.timeline_file` read. Without it, the chart has
    the cells alone.
    """
    seconds: Sequence[float] = timeline["seconds"] if timeline else ()
    timed = _timed_cells(notebook, with_samples=bool(seconds))
    ends = [start + length for _, start, length in timed] + [1000 * s for s in seconds[-1:]]
    if not any(ends):
        return None
    axis = TimeAxis(start=min([0.0, *(1000 * s for s in seconds[:1])]), end=max(ends))
    quantities = _quantities(notebook, timeline) if timeline else iter(())
    lanes = list(_lanes(quantities, seconds, axis, columns))
    bottom = lanes[-1].top + lanes[-1].height if lanes else _CELLS_TOP + _CELLS_HEIGHT
    return Chart(
        height=bottom + 4,
        columns=columns,
        before=axis.at(0) if axis.start < 0 else 0,
        ticks=axis.ticks(9),
        cells=[_bar(cell, axis.at(start), axis.width(length)) for cell, start, length in timed],
        cells_top=_CELLS_TOP,
        cells_height=_CELLS_HEIGHT,
        lanes=lanes,
        events=list(_xids(timeline, axis)) if timeline else [],
    )


def _timed_cells(notebook: NotebookJson, *, with_samples: bool) -> list[tuple[CellJson, int, int]]:
    """Return the cells that ran, when each began on the timeline's clock, and how long it took.

    Without samples, the clock begins with the first cell; with samples whose zero is unknown,
    nothing can be said.
    """
    starts = [c["start_ms"] for c in notebook["cells"] if c["start_ms"] is not None]
    zero = notebook["timeline_start_ms"]
    if zero is None:
        zero = None if with_samples else min(starts, default=0)
    return [
        (cell, cell["start_ms"] - zero, cell["duration_ms"] or 0)
        for cell in notebook["cells"]
        if cell["start_ms"] is not None and zero is not None
    ]


def _bar(cell: CellJson, left: float, width: float) -> CellBar:
    width = max(width, 0.12)
    number = str(cell["number"]) if width > _NUMBERED and cell["number"] else ""
    return CellBar(cell=cell, left=left, width=width, number=number)


def _xids(timeline: Mapping[str, Any], axis: TimeAxis) -> Iterator[Tick]:
    for xid in timeline["xids"]:
        if isinstance(time := xid.get("seconds"), int | float):
            yield Tick(at=axis.at(1000 * time), label=f"XID {xid.get('number')}")


def _lanes(
    quantities: Iterator[_Quantity], seconds: Sequence[float], axis: TimeAxis, width: int
) -> Iterator[Lane]:
    top = _CELLS_TOP + _CELLS_HEIGHT
    extent = axis.start / 1000, axis.end / 1000, width
    rows = lane_path.pixel_rows(seconds, *extent)
    for quantity in quantities:
        top += _LABEL
        is_usual = quantity.seconds is seconds
        own = rows if is_usual else lane_path.pixel_rows(quantity.seconds, *extent)
        highest = max((v for v in quantity.column if v is not None), default=0)
        levels = max((level for level, _ in quantity.rules), default=0)
        room = levels / (1 - _RULE_LABEL / quantity.height)
        scale = quantity.top or max(1.1 * highest, room)
        shown = quantity.top or highest
        yield Lane(
            name=quantity.name,
            detail=quantity.detail,
            top=top,
            height=quantity.height,
            path=lane_path.path(quantity.column, own, scale, quantity.height),
            highest=quantity.spell(shown),
            high=round(quantity.height * (1 - shown / (scale or 1)), 1),
            rules=[
                Rule(y=round(quantity.height * (1 - level / (scale or 1)), 1), label=label)
                for level, label in quantity.rules
            ],
            strips=list(_strips(quantity, axis)),
        )
        top += quantity.height


def _strips(quantity: _Quantity, axis: TimeAxis) -> Iterator[tuple[float, float]]:
    """Yield where clocks were lower because of a fault, as (left, width)."""
    began: float | None = None
    times = [*quantity.seconds, axis.end / 1000]
    for time, reasons in zip(times, [*quantity.throttled, 0], strict=False):
        is_slow = bool(int(reasons or 0) & ~_USUAL_REASONS)
        if is_slow and began is None:
            began = time
        elif not is_slow and began is not None:
            yield axis.at(1000 * began), max(axis.width(1000 * (time - began)), 0.2)
            began = None


def _quantities(notebook: NotebookJson, timeline: Mapping[str, Any]) -> Iterator[_Quantity]:
    columns, seconds = timeline["columns"], timeline["seconds"]
    devices = timeline["devices"]
    low = len(devices) > _MANY_GPUS
    for number, device in enumerate(devices):
        name = f"GPU {device.get('index', number)}"
        if used := columns.get(f"gpu{number}.memory_used"):
            yield _memory(
                f"{name} memory", seconds, used,
                limit=_positive(device.get("memory_total")), limit_word="in total",
                peak=_guard_peak(notebook) if len(devices) == 1 else None,
                height=32 if low else 64, throttled=columns.get(f"gpu{number}.clock_reasons", ()),
            )  # fmt: skip
        if busy := columns.get(f"gpu{number}.utilisation"):
            yield _Quantity(
                name=f"{name} utilisation", detail="0 to 100 %", seconds=seconds, column=busy,
                top=100, height=20 if low else 40, spell="{:.0f} %".format,
            )  # fmt: skip
    if used := columns.get("rss"):
        yield _memory(
            "Resident memory of the kernel", seconds, used, peak=None, height=48,
            limit=_positive(notebook["memory_limit"]), limit_word="limit of the container",
        )  # fmt: skip
    if clock := columns.get("cpu_seconds"):
        times, cores = _rate(seconds, clock)
        if cores:
            yield _Quantity(
                name="CPU", detail=f"{max(cores):.1f} cores at most",
                seconds=times, column=cores, top=0, height=40, spell="{:.1f}".format,
            )  # fmt: skip


def _memory(
    name: str, seconds: Sequence[float], column: lane_path.Column, *, limit: float | None,
    limit_word: str, peak: float | None, height: int, throttled: lane_path.Column = (),
) -> _Quantity:  # fmt: skip
    highest = max((v for v in column if v is not None), default=0)
    rules = [(peak, f"guard: {memory(peak)} at most")] if peak else []
    detail = f"{memory(highest)} at most"
    if limit:
        detail += f" of {memory(limit)} {limit_word}"
        if highest > _NEAR * limit:
            rules.append((limit, memory(limit)))
    return _Quantity(
        name=name, detail=detail, seconds=seconds, column=column, rules=rules, height=height,
        top=0, spell=memory, throttled=throttled,
    )  # fmt: skip


def _rate(seconds: Sequence[float], clock: lane_path.Column) -> tuple[list[float], list[float]]:
    """Return how many cores were busy between the times at which CPU seconds are known.

    The first value is that of the first time, too.
    """
    known = [(time, used) for time, used in zip(seconds, clock, strict=True) if used is not None]
    pairs = [(a, b) for a, b in itertools.pairwise(known) if b[0] > a[0]]
    rates = [max((b[1] - a[1]) / (b[0] - a[0]), 0) for a, b in pairs]
    ends = [*(first for first, _ in pairs[:1]), *(last for _, last in pairs)]
    return [time for time, _ in ends], [*rates[:1], *rates]


def _guard_peak(notebook: NotebookJson) -> float | None:
    return _positive((notebook["guard"] or {}).get("peak"))


def _positive(value: Any) -> float | None:
    return value if isinstance(value, int | float) and value > 0 else None
