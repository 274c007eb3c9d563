"""The GPU in a notebook's section: what it did, what was wrong with it, each attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stepkit.formats import sizes
from stepkit.formats.durations import elapsed
from stepkit.report.markdown_escape import bold_if_bad, escape, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from stepkit.report.steps_of_run import Entry

# Reasons for lower clocks that belong to a GPU at work: its power limit, or a setting.
_EXPECTED: Final = frozenset({"software power cap", "sync boost", "display clock setting"})
_MOST_WARNINGS: Final = 8


def lines(entry: Entry) -> Iterator[str]:
    """Yield a line for each GPU, a line for each thing that was wrong, and the attempts."""
    devices: Sequence[Mapping[str, Any]] = (entry.output("gpu") or {}).get("devices") or ()
    sentences = [_device(device) for device in devices]
    if allocator := escape(entry.output("allocator") or ""):
        sentences.append(f"Allocator of GPU memory: {allocator}")
    if sentences:
        yield ""
        yield "  \n".join(f"{sentence}." for sentence in sentences)
    warnings = list(_warnings(entry, devices))
    for warning in warnings[:_MOST_WARNINGS]:
        yield ""
        yield f"**GPU warning:** {escape(warning)}"
    if len(warnings) > _MOST_WARNINGS:
        yield ""
        yield f"and {len(warnings) - _MOST_WARNINGS} more GPU warnings"
    attempts: Sequence[Mapping[str, Any]] = entry.output("attempts") or ()
    if len(attempts) > 1:
        yield ""
        head = ("attempt", "allocator", "status", "time", "GPU peak", "what")
        rows = (
            (
                str(attempt["number"]),
                escape(attempt["rung"]),
                bold_if_bad(attempt["status"]),
                elapsed(attempt["seconds"]),
                peak(attempt),
                escape(attempt["message"]),
            )
            for attempt in attempts
        )
        yield from table(head, rows)


def peak(cell: Mapping[str, Any]) -> str:
    """Spell the most memory of GPUs that was in use during a cell, nothing if that is unknown."""
    count = cell.get("gpu_peak")
    return "" if count is None else _memory(count)


def _memory(count: float) -> str:
    """Spell less than a GiB in whole MiB, as drivers do."""
    return sizes.spell(count) if count >= sizes.GIB else f"{count / 2**20:.0f} MiB"


def _device(device: Mapping[str, Any]) -> str:
    parts = []
    used, total = device.get("memory_peak"), device.get("memory_total")
    if used is not None:
        of_all = f" of {_memory(total)}" if total is not None else ""
        parts.append(f"{_memory(used)}{of_all} in use at most")
    if device.get("utilisation_mean") is not None:
        parts.append(f"{device['utilisation_mean']:.0f} % busy on average")
    if device.get("power_max") is not None:
        parts.append(f"{device['power_max']:.0f} W at most")
    if device.get("temperature_max") is not None:
        parts.append(f"{device['temperature_max']:.0f} °C at most")
    name = escape(device.get("name") or "unknown model")
    measured = ", ".join(parts) or "the driver reports nothing about it"
    return f"GPU {device['index']} ({name}): {measured}"


def _warnings(entry: Entry, devices: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    guard: Mapping[str, Any] = entry.output("guard") or {}
    needs_guard = entry.option("rmm-mode") not in {None, "respect", "off"}
    if guard.get("active") is False and (devices or needs_guard):
        yield "the guard of GPU memory was not active"
    yield from guard.get("warnings") or ()
    for device in devices:
        name = f"GPU {device['index']}"
        if xids := device.get("xids"):
            yield f"{name}: the driver reports XID {', '.join(map(str, xids))}"
        if count := device.get("ecc_uncorrected"):
            yield f"{name}: {count} uncorrected memory errors during the run"
        if count := device.get("retired"):
            yield f"{name}: {count} memory rows or pages were taken out of use during the run"
        if reasons := [r for r in device.get("clock_reasons") or () if r not in _EXPECTED]:
            yield f"{name} was slowed down: {', '.join(reasons)}"
    for error in (entry.output("gpu") or {}).get("errors") or ():
        yield f"not all was measured: {error}"
