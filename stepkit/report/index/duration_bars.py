"""A row of bars, one for each of the last runs, as a small SVG."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

HEIGHT: Final = 16
WIDTH: Final = 80
PITCH: Final = 4  # from one bar to the next


@dataclass(frozen=True, kw_only=True)
class Bars:
    """SVG paths: those of the ``others``, that of the ``last`` run, and the ``median``."""

    others: str
    last: str
    median: str


def bars(durations: Sequence[int]) -> Bars | None:
    """Return bars for at most 20 ``durations``, oldest first; None for fewer than two."""
    if len(durations) < 2:  # noqa: PLR2004 - there is nothing to compare with
        return None
    longest = max(*durations, 1)
    tops = [round(HEIGHT - (HEIGHT - 1) * each / longest) for each in durations]
    left = WIDTH - PITCH * len(durations)
    paths = [
        f"M{left + PITCH * n + 2} {HEIGHT}V{min(top, HEIGHT - 1)}" for n, top in enumerate(tops)
    ]
    middle = round(HEIGHT - (HEIGHT - 1) * median(durations) / longest)
    return Bars(
        others="".join(paths[:-1]),
        last=paths[-1],
        median=f"M{left} {middle}H{WIDTH}",
    )
