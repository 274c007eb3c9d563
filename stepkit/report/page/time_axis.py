"""Ticks of a time axis, at lengths that people count in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from stepkit.formats.durations import elapsed

_DAY: Final = 86_400_000
# Milliseconds: 0.1 s to 12 hours.
_LENGTHS: Final = (
    *(100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000),
    *(60_000 * minutes for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 240, 360, 720)),
)


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A place on the axis: ``at`` is from 0 to 100, ``label`` a time."""

    at: float
    label: str


@dataclass(frozen=True, kw_only=True)
class TimeAxis:
    """An axis from ``start`` to ``end``, in milliseconds."""

    start: float
    end: float

    def at(self, time: float) -> float:
        """Return the place of a time, in percent of the axis."""
        share = (time - self.start) / ((self.end - self.start) or 1)
        return round(100 * min(max(share, 0), 1), 3)

    def width(self, length: float) -> float:
        """Return a length in percent of the axis."""
        return round(100 * max(length, 0) / ((self.end - self.start) or 1), 3)

    def ticks(self, most: int = 6) -> list[Tick]:
        """Return at most ``most`` ticks, at 0 and multiples of a round length."""
        length = self.end - max(self.start, 0)
        between = next((n for n in _LENGTHS if length / n < most), _DAY)
        while length / between >= most:
            between *= 2
        times = [between * n for n in range(int(self.end // between) + 1)]
        return [
            Tick(at=self.at(time), label=_spell(time, between))
            for time in times
            if time >= self.start
        ]


def _spell(time: float, between: float) -> str:
    if time == 0:
        return "0 s"
    if between < 1000:  # noqa: PLR2004
        return f"{time / 1000:.1f} s"
    return f"{time / 1000:.0f} s" if time < 60_000 else elapsed(time / 1000)  # noqa: PLR2004
