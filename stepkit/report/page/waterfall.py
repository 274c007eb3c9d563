"""The steps of a run as bars on its clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stepkit.report.page.time_axis import Tick, TimeAxis
from stepkit.report.run_json import StepJson

if TYPE_CHECKING:
    from collections.abc import Sequence

_NARROWEST: Final = 0.6  # percent: it can be seen


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A step, and its bar in percent of the width; ``width`` is None where times are unknown."""

    step: StepJson
    left: float
    width: float | None


@dataclass(frozen=True, kw_only=True)
class Waterfall:
    """The bars in order, and the ticks of their common axis."""

    bars: list[Bar]
    ticks: list[Tick]


def draw(steps: Sequence[StepJson]) -> Waterfall:
    """Return the bars of steps; parallel ones overlap."""
    ends = [s["start_ms"] + (s["duration_ms"] or 0) for s in steps if s["start_ms"] is not None]
    axis = TimeAxis(start=0, end=max(ends, default=0))
    bars = []
    for step in steps:
        start, length = step["start_ms"], step["duration_ms"]
        if start is None or length is None:
            bars.append(Bar(step=step, left=0, width=None))
        else:
            width = max(axis.width(length), _NARROWEST)
            left = min(axis.at(start), 100 - width)
            bars.append(Bar(step=step, left=left, width=width))
    return Waterfall(bars=bars, ticks=axis.ticks() if any(ends) else [])
