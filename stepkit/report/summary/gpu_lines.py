"""The GPU in a notebook's section: what it did, and what was wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stepkit.formats import sizes
from stepkit.report import gpu_use, unchecked_values
from stepkit.report.gpu_warnings import gpu_warnings
from stepkit.report.summary.markdown_text import count, escape, paragraphs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepkit.report.run_json_notebook import NotebookJson

_MOST_WARNINGS: Final = 8
_MOST_DEVICES: Final = 16
_SOURCES: Final = {"power": " (power added up over time)"}


def lines(notebook: NotebookJson) -> list[str]:
    """Return a line for each GPU and for memory, and each thing that was wrong."""
    devices = unchecked_values.objects((notebook["gpu"] or {}).get("devices"))
    sentences = [_device(device) for device in devices[:_MOST_DEVICES]]
    if allocator := escape(notebook["allocator"]):
        sentences.append(f"Allocator of GPU memory: {allocator}.")
    if notebook["rss_peak"] is not None:
        limit = notebook["memory_limit"]
        of = f" of {memory(limit)}" if limit else ""
        sentences.append(f"Memory: {memory(notebook['rss_peak'])}{of} at most.")
    warnings = [f"**GPU warning:** {escape(warning)}" for warning in gpu_warnings(notebook)]
    if len(warnings) > _MOST_WARNINGS:
        rest = count(len(warnings) - _MOST_WARNINGS, "more GPU warning")
        warnings[_MOST_WARNINGS:] = [f"and {rest}"]
    return paragraphs(
        ["  \n".join(sentences)] if sentences else (),
        *([warning] for warning in warnings),
    )


def memory(size: float | None) -> str:
    """Spell less than a GiB in whole MiB, as drivers do, and nothing for an unknown size."""
    if size is None:
        return ""
    return sizes.spell(size) if size >= sizes.GIB else f"{size / 2**20:.0f} MiB"


def _device(device: Mapping[str, Any]) -> str:
    number = unchecked_values.number
    parts = []
    used, total = number(device.get("memory_peak")), number(device.get("memory_total"))
    if used is not None:
        of_all = f" of {memory(total)}" if total is not None else ""
        parts.append(f"{memory(used)}{of_all} in use at most")
    for field, spelled in (
        ("utilisation_mean", "{:.0f} % busy on average"),
        ("power_max", "{:.0f} W at most"),
        ("temperature_max", "{:.0f} °C at most"),
    ):
        if (value := number(device.get(field))) is not None:
            parts.append(spelled.format(value))
    if idle := gpu_use.percent(number(device.get("idle"))):
        parts.append(f"idle {idle} of the time")
    if energy := gpu_use.spell_energy(number(device.get("energy"))):
        parts.append(f"{energy} used{_SOURCES.get(str(device.get('energy_source')), '')}")
    name = escape(unchecked_values.line(device.get("name")) or "unknown model")
    measured = ", ".join(parts) or "the driver reports nothing about it"
    return f"GPU {number(device.get('index')) or 0:.0f} ({name}): {measured}."
