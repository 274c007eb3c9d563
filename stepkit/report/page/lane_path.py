"""A column of samples as the path of an SVG: the lowest and the highest value of each pixel."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Column = Sequence[float | None]


def pixel_rows(seconds: Sequence[float], start: float, end: float, width: int) -> list[int]:
    """Return, for each of ``width`` pixels and their end, the first row that belongs to it."""
    length = end - start
    firsts = [bisect_left(seconds, start + length * pixel / width) for pixel in range(width)]
    return [*firsts, bisect_right(seconds, end)]


def path(column: Column, rows: Sequence[int], top: float, height: int) -> str:
    """Return a path over the baseline ``height``; a value of ``top`` is at 0.

    ``rows`` are those of :func:`pixel_rows`. The path is open where nothing is known: a gap as long
    as the pause between two samples is bridged.
    """
    spans = [_span(column, rows, pixel) for pixel in range(len(rows) - 1)]
    last = next((n for n in reversed(range(len(spans))) if spans[n]), -1)
    pieces: list[str] = []
    x = y = 0
    is_open = False
    scale = height / (top or 1)
    for pixel, span in enumerate(spans[: last + 1]):
        if span is None:
            # A pixel without a sample lies between two; one whose samples are all unknown is a gap.
            if is_open and rows[pixel] < rows[pixel + 1]:
                pieces.append(f"V{height}")
                is_open = False
            continue
        low, high = (height - round(min(max(value, 0) * scale, height)) for value in span)
        if not is_open:
            pieces.append(f"M{pixel} {height}V{low}")
            is_open, x, y = True, pixel, low
        first, then = (low, high) if abs(low - y) <= abs(high - y) else (high, low)
        if pixel > x:
            pieces.append(f"l{pixel - x} {first - y}" if first != y else f"h{pixel - x}")
        if then != first:
            pieces.append(f"V{then}")
        x, y = pixel, then
    if is_open:
        pieces.append(f"V{height}")
    return "".join(_merge(pieces))


def _span(column: Column, rows: Sequence[int], pixel: int) -> tuple[float, float] | None:
    known = [value for value in column[rows[pixel] : rows[pixel + 1]] if value is not None]
    return (min(known), max(known)) if known else None


def _merge(pieces: Sequence[str]) -> Iterator[str]:
    """Yield the pieces; horizontal moves that follow each other are one."""
    run = 0
    for piece in pieces:
        if piece[0] == "h":
            run += int(piece[1:])
            continue
        if run:
            yield f"h{run}"
            run = 0
        yield piece
    if run:
        yield f"h{run}"
