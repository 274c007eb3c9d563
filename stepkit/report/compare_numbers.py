"""When a time or an amount of memory counts as worse than before, and not as noise.

With fewer than five runs to compare with, the limit is the baseline times a ratio. With five or
more it is their median plus three scaled median absolute deviations: the limit that Leys et al.
call very conservative (J. Exp. Soc. Psychol. 49, 2013, 764-766), where 1.4826 makes the deviation
an estimate of sigma. In both cases the difference must be worth a look: a second, or 64 MiB.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepkit.report.run_json_comparison import NumberJson

ENOUGH_RUNS: Final = 5  # for a median and its deviation
RATIO: Final = 1.2

_DEVIATIONS: Final = 3 * 1.4826


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What is measured: the smallest difference that counts, and the ratio for few runs."""

    least: int
    ratio: float = RATIO


def compare(
    before: int | None, now: int | None, history: Sequence[int], measure: Measure
) -> NumberJson:
    """Compare ``now`` with ``before``, the baseline; ``history`` are the values of all runs."""
    if before is None or now is None:
        return unknown(before, now)
    if len(history) >= ENOUGH_RUNS:
        middle = median(history)
        spread = _DEVIATIONS * median(abs(value - middle) for value in history)
        low, high = middle - spread, middle + spread
    else:
        middle = before
        low, high = before / measure.ratio, before * measure.ratio
    low, high = min(low, middle - measure.least), max(high, middle + measure.least)
    return {
        "before": before,
        "now": now,
        "ratio": round(now / before, 3) if before else None,
        "limit": round(high),
        "change": "worse" if now > high else "better" if now < low else "same",
    }


def unknown(before: int | None, now: int | None) -> NumberJson:
    """Return two numbers that cannot be compared."""
    return {"before": before, "now": now, "ratio": None, "limit": None, "change": "unknown"}
