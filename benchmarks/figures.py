"""Medians, spreads, and ratios of runs that were made side by side."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.measure import Usage
    from benchmarks.suite import Sample

Figure = Callable[["Usage"], "float | None"]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A median of ``count`` values between the lowest and the highest."""

    median: float
    low: float
    high: float
    count: int


def spread(values: Sequence[float]) -> Spread | None:
    """Return the median and the range of ``values``, None without any."""
    if not values:
        return None
    return Spread(
        median=statistics.median(values), low=min(values), high=max(values), count=len(values)
    )


def of(samples: Sequence[Sample], case: str, runner: str, figure: Figure) -> Spread | None:
    """Return the spread of one figure over the good runs of a runner."""
    return spread(list(_by_turn(samples, case, runner, figure).values()))


def ratio(
    samples: Sequence[Sample], case: str, over: str, under: str, figure: Figure
) -> Spread | None:
    """Return how many times ``under``'s figure ``over``'s is, turn by turn.

    Only turns in which both did well count: what disturbs one disturbs its neighbour too, so that
    the ratio within a turn is steadier than that of two medians.
    """
    upper = _by_turn(samples, case, over, figure)
    lower = _by_turn(samples, case, under, figure)
    turns = [turn for turn in upper if lower.get(turn)]
    return spread([upper[turn] / lower[turn] for turn in turns])


def _by_turn(samples: Sequence[Sample], case: str, runner: str, figure: Figure) -> dict[int, float]:
    found = {}
    for sample in samples:
        if sample.case == case and sample.runner == runner and not sample.problem:
            value = figure(sample.usage)
            if value is not None:
                found[sample.turn] = value
    return found
