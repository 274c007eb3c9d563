"""What the GPUs did while a cell ran: the share of idle samples, and the energy."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepkit.gpu.monitor.timeline import Column, Timeline

Window = tuple[float, float]


def idle_shares(timeline: Timeline, windows: Sequence[Window]) -> list[float | None]:
    """Return the share of the samples in each window in which a GPU had nothing to do, 0 to 1.

    ``windows`` are (began, ended) in seconds of the timeline's clock; several GPUs count alike.
    None for a window without a sample, and where the driver does not report utilisation (MIG).
    """
    columns = [timeline.of_device(number, "idle") for number in range(len(timeline.devices))]
    found: list[float | None] = []
    for rows in _rows(timeline, windows):
        known = [
            [value for row in rows if row < len(column) and (value := column[row]) is not None]
            for column in columns
        ]
        shares = [sum(values) / len(values) for values in known if values]
        complete = shares and len(shares) == len(columns)
        found.append(round(sum(shares) / len(shares), 4) if complete else None)
    return found


def energies(timeline: Timeline, windows: Sequence[Window]) -> list[float | None]:
    """Return the joules that all GPUs used in each window.

    Between two samples, power is taken to be constant. None for a window without a sample, and
    where the energy of one of the GPUs is unknown, as after a reset of the driver's counter, or
    until the end of the window.
    """
    counted = [_energy(timeline, number) for number in range(len(timeline.devices))]
    found: list[float | None] = []
    for rows, (began, ended) in zip(_rows(timeline, windows), windows, strict=True):
        last = timeline.seconds[rows[-1]] if rows else None
        known = last is not None and all(points and points[-1][0] >= last for points in counted)
        used = [_at(points, ended) - _at(points, began) for points in counted] if known else []
        found.append(round(sum(used), 3) if used else None)
    return found


def _rows(timeline: Timeline, windows: Sequence[Window]) -> list[range]:
    seconds = timeline.seconds
    return [range(bisect_right(seconds, b), bisect_right(seconds, e)) for b, e in windows]


def _energy(timeline: Timeline, number: int) -> list[tuple[float, float]]:
    """Return when a GPU had used how many joules, from the driver's counter if it has one.

    Empty if that is unknown, or if the counter was set back.
    """
    names = ("energy", "power_energy")
    columns: list[Column] = [timeline.of_device(number, name) for name in names]
    column = next((c for c in columns if any(value is not None for value in c)), ())
    pairs = zip(timeline.seconds, column, strict=False)
    points = [(second, value) for second, value in pairs if value is not None]
    grows = all(before <= after for (_, before), (_, after) in pairwise(points))
    return points if grows else []


def _at(points: Sequence[tuple[float, float]], second: float) -> float:
    """Return the joules at a moment: those of the first or the last sample beyond them."""
    place = bisect_right(points, second, key=lambda point: point[0])
    if place in {0, len(points)}:
        return points[min(place, len(points) - 1)][1]
    (before, low), (after, high) = points[place - 1], points[place]
    return low + (high - low) * (second - before) / (after - before)
