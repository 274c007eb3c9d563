"""Keep samples as columns of numbers, in bounded memory."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from stepkit.gpu.monitor.timeline import Column, Extent

if TYPE_CHECKING:
    from collections.abc import Mapping

_GAP: Final = math.nan  # what an array of numbers holds in place of None
_BITS: Final = "clock_reasons"  # a quantity of this name is a set of bits
_SHARE: Final = "idle"  # and of this one, a row holds the mean


@dataclass
class _Running:
    """The :class:`Extent` of a quantity so far."""

    first: float
    last: float
    highest: float
    weighted: float = 0.0
    weight: float = 0.0

    def add(self, value: float, weight: float, highest: float) -> None:
        self.last = value
        self.highest = highest
        self.weighted += value * weight
        self.weight += weight

    def extent(self) -> Extent:
        mean = self.weighted / self.weight if self.weight else self.last
        return Extent(first=self.first, last=self.last, highest=self.highest, mean=mean)


class Recorder:
    """Rows of quantities, at most ``most`` of them.

    When there are more, each two rows become one that keeps the higher value of each quantity, and
    later samples share rows in the same way. No peak is lost, only its exact time. Of ``idle``, a
    row keeps the mean.
    """

    def __init__(self, most: int) -> None:
        self._most = most - most % 2
        self._seconds = array("d")
        self._columns: dict[str, array[float]] = {}
        self._running: dict[str, _Running] = {}
        self._in_row = 0
        self._at: float | None = None
        self.stride = 1
        self.samples = 0
        self.longest_pause = 0.0

    def add(self, seconds: float, values: Mapping[str, float | None]) -> None:
        """Add a sample; a quantity that is missing or None is a gap."""
        pause = 0.0 if self._at is None else seconds - self._at
        self._at = seconds
        self.samples += 1
        self.longest_pause = max(self.longest_pause, pause)
        if self._in_row == 0:
            self._begin_row()
        self._in_row = (self._in_row + 1) % self.stride
        self._seconds[-1] = seconds
        for name, value in values.items():
            if value is not None:
                self._set(name, float(value), pause)

    def seconds(self) -> list[float]:
        """Return the time of the last sample of each row."""
        return self._seconds.tolist()

    def columns(self) -> dict[str, Column]:
        """Return the columns, with None in the gaps."""
        return {
            name: [None if math.isnan(value) else value for value in column]
            for name, column in self._columns.items()
        }

    def extents(self) -> dict[str, Extent]:
        """Return the extent of each quantity over all samples."""
        return {name: running.extent() for name, running in self._running.items()}

    def _begin_row(self) -> None:
        if len(self._seconds) >= self._most:
            self._thin()
        self._seconds.append(0.0)
        for column in self._columns.values():
            column.append(_GAP)

    def _set(self, name: str, value: float, weight: float) -> None:
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = array("d", [_GAP]) * len(self._seconds)
        if name.endswith(_SHARE):
            samples = self._in_row or self.stride
            column[-1] = value if samples == 1 else _mean(column[-1], value, 1 / samples)
        else:
            column[-1] = _join(name, column[-1], value)
        running = self._running.get(name)
        if running is None:
            running = self._running[name] = _Running(value, value, value)
        running.add(value, weight, _join(name, running.highest, value))

    def _thin(self) -> None:
        self._seconds = self._seconds[1::2]
        for name, column in self._columns.items():
            pairs = zip(column[::2], column[1::2], strict=True)
            join = _mean if name.endswith(_SHARE) else partial(_join, name)
            self._columns[name] = array("d", [join(*pair) for pair in pairs])
        self.stride *= 2


def _mean(one: float, other: float, weight: float = 0.5) -> float:
    """Return the mean of two numbers, in which the ``other`` has the ``weight``."""
    if math.isnan(one) or math.isnan(other):
        return other if math.isnan(one) else one
    return one + (other - one) * weight


def _join(name: str, one: float, other: float) -> float:
    """Return the higher of two values of a quantity, or for a set of bits all bits of both."""
    if math.isnan(one) or math.isnan(other):
        return other if math.isnan(one) else one
    return float(int(one) | int(other)) if name.endswith(_BITS) else max(one, other)
