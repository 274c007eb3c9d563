"""The GPUs of a notebook as rows of a table: what each did, and what was wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stepkit.report import gpu_use

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stepkit.report.run_json_notebook import NotebookJson

# Reasons for lower clocks that belong to a GPU at work: its power limit, or a setting.
_EXPECTED: Final = frozenset({"software power cap", "sync boost", "display clock setting"})


@dataclass(frozen=True, kw_only=True)
class DeviceRow:
    """A GPU; memory is in bytes, the other figures are spelled, ``""`` if unknown."""

    index: str
    name: str
    memory_peak: int | None
    memory_total: int | None
    busy: str
    idle: str
    power: str
    energy: str
    temperature: str
    remarks: list[str]


def rows(notebook: NotebookJson | None) -> list[DeviceRow]:
    """Return what was measured of each GPU while a notebook ran."""
    found = (notebook["gpu"] or {}).get("devices") if notebook else None
    devices = found if isinstance(found, list | tuple) else ()
    return [_row(device) for device in devices if isinstance(device, dict)]


def _row(device: Mapping[str, Any]) -> DeviceRow:
    mean, highest = _number(device, "utilisation_mean"), _number(device, "utilisation_max")
    energy = _number(device, "energy")
    return DeviceRow(
        index=str(device.get("index", "")),
        name=str(device.get("name") or "unknown model"),
        memory_peak=_count(device, "memory_peak"),
        memory_total=_count(device, "memory_total"),
        busy="" if mean is None else f"{mean:.0f} %, at most {highest or mean:.0f} %",
        idle=gpu_use.percent(_number(device, "idle")),
        power=_spell(_number(device, "power_max"), "W"),
        energy=gpu_use.spell_energy(energy),
        temperature=_spell(_number(device, "temperature_max"), "°C"),
        remarks=list(_remarks(device)),
    )


def _remarks(device: Mapping[str, Any]) -> Iterator[str]:
    if device.get("energy_source") == "power":
        yield "energy is power added up over time"
    if xids := device.get("xids"):
        yield f"the driver reports XID {', '.join(map(str, _list(xids)))}"
    if count := _count(device, "ecc_uncorrected"):
        yield f"{count} uncorrected memory errors"
    if count := _count(device, "retired"):
        yield f"{count} memory rows or pages were taken out of use"
    if reasons := [str(r) for r in _list(device.get("clock_reasons")) if str(r) not in _EXPECTED]:
        yield f"slowed down: {', '.join(reasons)}"


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _number(device: Mapping[str, Any], name: str) -> float | None:
    value = device.get(name)
    return value if isinstance(value, int | float) and abs(value) < 1e18 else None  # noqa: PLR2004


def _count(device: Mapping[str, Any], name: str) -> int | None:
    value = _number(device, name)
    return None if value is None else round(value)


def _spell(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.0f} {unit}"
