"""The samples of a run as columns: find peaks in them, write them to a file and read them."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError
from stepkit.gpu.monitor.summary import DeviceSummary, Summary, summary
from stepkit.system import atomic_files
from stepkit.system.nvml import Device

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "Column",
    "DeviceSummary",
    "Extent",
    "Summary",
    "Timeline",
    "Xid",
    "changes",
    "peaks",
    "read",
    "summary",
    "write",
]

SCHEMA: Final = "stepkit.timeline/1"
_MOST_BYTES: Final = 1 << 28  # unpacked; a file of ours has a hundredth of that

Column = Sequence[float | None]


@dataclass(frozen=True, kw_only=True)
class Extent:
    """The range of a quantity over all its samples, including those that were thinned out.

    ``mean`` is over time: each sample counts for the time since the one before.
    """

    first: float
    last: float
    highest: float
    mean: float


@dataclass(frozen=True, kw_only=True)
class Xid:
    """A critical error that the driver reported of a GPU (NVML's index), seen at ``seconds``."""

    seconds: float
    device: int | None
    number: int


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The samples of a run: one row for each ``stride`` samples.

    ``seconds`` ascend and count from the start of the run; earlier ones are negative. A row covers
    the time since the previous row, and holds the highest value of each quantity (of clock reasons,
    all; of ``idle``, the mean).
    ``columns`` has a column of the same length for each quantity, None in its gaps:
    ``cpu_seconds``, ``rss`` (bytes), ``processes``, and ``gpuN.QUANTITY`` for the N-th of
    ``devices`` with the quantities and units of
    :class:`~stepkit.gpu.monitor.nvml_readings.NvmlSession`. ``extents`` has the same names, without
    those that were never known. ``longest_pause`` is in seconds between two samples,
    ``own_cpu_seconds`` is what sampling cost, ``errors`` are those of sampling.
    """

    interval: float
    seconds: Sequence[float]
    columns: Mapping[str, Column]
    extents: Mapping[str, Extent] = field(default_factory=dict)
    devices: Sequence[Device] = ()
    stride: int = 1
    samples: int = 0
    longest_pause: float = 0.0
    own_cpu_seconds: float = 0.0
    xids: Sequence[Xid] = ()
    errors: Sequence[str] = ()

    def of_device(self, number: int, quantity: str) -> Column:
        """Return a column of the ``number``-th device, empty if there is none of that name."""
        return self.columns.get(f"gpu{number}.{quantity}", ())


def peaks(
    timeline: Timeline, windows: Sequence[tuple[float, float]]
) -> list[tuple[int | None, int | None]]:
    """Return the most GPU memory and the most resident memory in each window, in bytes.

    ``windows`` are (began, ended) in seconds of the timeline's clock. GPU memory is what all
    devices together had in use beyond what was in use at the first sample, before the notebook;
    resident memory is of the kernel and its descendants. A window between two samples has the
    higher of both. None means unknown.
    """
    gpu, rss = _gpu_in_use(timeline), timeline.columns.get("rss", ())
    seconds, found = timeline.seconds, []
    for began, ended in windows:
        first, end = bisect_left(seconds, began), bisect_right(seconds, ended)
        if timeline.stride > 1:
            end += 1  # the next row began before the window ended
        if first >= min(end, len(seconds)):
            first, end = first - 1, end + 1
        rows = range(max(first, 0), min(end, len(seconds)))
        found.append((_highest(gpu, rows), _highest(rss, rows)))
    return found


def changes(timeline: Timeline, windows: Sequence[tuple[float, float]]) -> list[int | None]:
    """Return by how many bytes the GPU memory in use grew in each window, negative if it shrank.

    ``windows`` are those of :func:`peaks`. It is the last sample in a window against the last one
    before it; None for a window without a sample.
    """
    gpu, seconds, found = _gpu_in_use(timeline), timeline.seconds, []
    for began, ended in windows:
        first, end = bisect_right(seconds, began), bisect_right(seconds, ended)
        before = _known(gpu[max(first - 1, 0) : first])
        during = _known(gpu[first:end])
        found.append(round(during[-1] - before[-1]) if before and during else None)
    return found


def _gpu_in_use(timeline: Timeline) -> Column:
    """Return the memory in use on all devices beyond that of the first sample, row by row."""
    columns = []
    for number in range(len(timeline.devices)):
        column = timeline.of_device(number, "memory_used")
        extent = timeline.extents.get(f"gpu{number}.memory_used")
        if extent:
            columns.append([None if v is None else max(v - extent.first, 0) for v in column])
    rows = zip(*columns, strict=True)
    return [sum(known) if (known := _known(row)) else None for row in rows]


def _highest(column: Column, rows: range) -> int | None:
    known = _known(column[row] for row in rows if row < len(column))
    return round(max(known)) if known else None


def _known(values: Any) -> list[float]:
    return [value for value in values if value is not None]


def write(timeline: Timeline, path: Path) -> None:
    """Write a timeline as gzip'd JSON, whole or not at all; equal timelines give equal bytes.

    Raises :class:`~stepkit.errors.StepError` when the file cannot be written.
    """
    # asdict copies each number, and level 9 takes five times as long for a tenth of the size.
    data = {"schema": SCHEMA, **asdict(replace(timeline, seconds=(), columns={}))}
    data["seconds"] = [round(second, 3) for second in timeline.seconds]
    data["columns"] = {name: list(map(_rounded, c)) for name, c in timeline.columns.items()}
    text = json.dumps(data, separators=(",", ":"), sort_keys=True, allow_nan=False)
    atomic_files.write_atomically(path, gzip.compress(text.encode(), 6, mtime=0), durable=False)


def _rounded(value: float | None) -> float | None:
    if value is None:
        return None
    return int(value) if value == int(value) else round(value, 3)


def read(path: Path) -> Timeline:
    """Read what :func:`write` wrote.

    Raises :class:`ConfigurationError` when there is no such file, or it is not a timeline.
    """
    packed = atomic_files.read(path)
    try:
        unpacker = zlib.decompressobj(wbits=31)  # of gzip
        text = unpacker.decompress(packed, _MOST_BYTES)
        if not unpacker.eof:
            raise ValueError("it is cut off, or too large")  # noqa: TRY301 - as the others
        return _from_json(json.loads(text))
    except (zlib.error, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not a timeline of stepkit: {error}") from error


def _from_json(data: dict[str, Any]) -> Timeline:
    if data["schema"] != SCHEMA:
        raise ValueError(f"its schema is {data['schema']!r}, not {SCHEMA!r}")
    known = {name.name for name in fields(Timeline)}
    values = {name: value for name, value in data.items() if name in known}
    seconds = values["seconds"]
    if not _is_list_of(seconds, _is_number):
        raise ValueError("its seconds are not a list of numbers")
    for name, column in values["columns"].items():
        if not _is_list_of(column, lambda value: value is None or _is_number(value)):
            raise ValueError(f"its column {name} is not a list of numbers")
        if len(column) != len(seconds):
            raise ValueError(f"its column {name} has {len(column)} rows, not {len(seconds)}")
    values["devices"] = tuple(Device(**device) for device in values["devices"])
    values["extents"] = {name: Extent(**extent) for name, extent in values["extents"].items()}
    values["xids"] = tuple(Xid(**xid) for xid in values["xids"])
    return Timeline(**values)


def _is_list_of(values: Any, is_right: Callable[[Any], bool]) -> bool:
    return isinstance(values, list) and all(map(is_right, values))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
