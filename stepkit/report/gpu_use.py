"""How long a run held GPUs, how long they had nothing to do, and how much energy they used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypedDict

from stepkit.report import unchecked_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stepkit.report.run_json import RunJson
    from stepkit.report.run_json_notebook import NotebookJson

_MS_PER_HOUR: Final = 3_600_000
_FEW_HOURS: Final = 0.001  # 3.6 seconds
IDLE_CELL: Final = 0.5  # a share that is worth a column


class GpuUseJson(TypedDict):
    """Joules, hours and a share, None where they are unknown or no GPU was sampled."""

    energy: float | None
    gpu_hours: float | None
    gpu_idle: float | None


def devices(gpu: Any) -> list[dict[str, Any]]:
    """Return the GPUs of a notebook's output ``gpu``."""
    return unchecked_values.objects(gpu.get("devices")) if isinstance(gpu, dict) else []


def hours(gpus: int, duration_ms: int | None) -> float | None:
    """Return the GPU-hours of so many GPUs that were held for so long."""
    return round(gpus * duration_ms / _MS_PER_HOUR, 6) if gpus and duration_ms is not None else None


def total(values: Iterable[Any]) -> float | None:
    """Return the sum of numbers, None if one of them is unknown or there is none."""
    known = [unchecked_values.number(value) for value in values]
    numbers = [value for value in known if value is not None]
    return sum(numbers) if known and len(numbers) == len(known) else None


def mean(values: Iterable[Any]) -> float | None:
    """Return the mean of numbers, None if one of them is unknown or there is none."""
    numbers = list(values)
    found = total(numbers)
    return None if found is None else round(found / len(numbers), 4)


def of_run(notebooks: Sequence[NotebookJson]) -> GpuUseJson:
    """Return what all notebooks used that ran in this run.

    A GPU that several notebooks held at the same time counts once. Its energy was then counted in
    each of them, so that the energy of the run is unknown. It is unknown, too, where a notebook ran
    more than once: its energy is that of its last try.
    """
    ran = [n for n in notebooks if n["gpu_hours"] is not None and n["reused_from"] is None]
    if not ran:
        return {"energy": None, "gpu_hours": None, "gpu_idle": None}
    spans = _spans(ran).values()
    held = sum(map(_union, spans))
    alone = held == sum(end - start for each in spans for start, end in each)
    once = all(len(n["attempts"]) <= 1 for n in ran)
    weight = sum(n["gpu_hours"] or 0 for n in ran)
    idle = total(n["gpu_idle"] and n["gpu_idle"] * (n["gpu_hours"] or 0) for n in ran)
    return {
        "energy": total(n["energy"] for n in ran) if alone and once else None,
        "gpu_hours": hours(1, held),
        "gpu_idle": round(idle / weight, 4) if idle is not None and weight else None,
    }


def spelled(use: RunJson | NotebookJson) -> list[str]:
    """Spell what is known: ``0.5 GPU-hours``, ``GPU idle 38 %``, ``21.4 kJ``."""
    held, idle, energy = use["gpu_hours"], use["gpu_idle"], use["energy"]
    return [
        *([] if held is None else [f"{spell_hours(held)} GPU-hours"]),
        *([] if idle is None else [f"GPU idle {percent(idle)}"]),
        *([] if energy is None else [spell_energy(energy)]),
    ]


def spell_hours(number: float | None) -> str:
    """Spell hours with three digits, ``""`` if unknown."""
    if number is None:
        return ""
    if number < _FEW_HOURS:
        return f"below {_FEW_HOURS}" if number else "0"
    return f"{number:.3g}" if number < 100 else f"{number:.0f}"  # noqa: PLR2004


def spell_energy(joules: float | None) -> str:
    """Spell joules: ``812 J``, ``21.4 kJ``, ``3.1 MJ``; ``""`` if unknown."""
    if joules is None:
        return ""
    if joules < 1000:  # noqa: PLR2004
        return f"{joules:.0f} J"
    return f"{joules / 1e3:.1f} kJ" if joules < 1e6 else f"{joules / 1e6:.1f} MJ"  # noqa: PLR2004


def percent(part: float | None) -> str:
    """Spell a share from 0 to 1, ``""`` if unknown."""
    return "" if part is None else f"{100 * part:.0f} %"


def _spans(notebooks: Sequence[NotebookJson]) -> dict[str, list[tuple[int, int]]]:
    """Return when each GPU was held, by its UUID."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for place, notebook in enumerate(notebooks):
        start, length = notebook["start_ms"], notebook["duration_ms"] or 0
        for device in devices(notebook["gpu"]):
            known = device.get("uuid") and start is not None
            name = str(device["uuid"]) if known else f"{place}.{device.get('index')}"
            spans.setdefault(name, []).append((start or 0, (start or 0) + length))
    return spans


def _union(spans: Sequence[tuple[int, int]]) -> int:
    """Return how much time the spans cover."""
    covered, until = 0, 0
    for start, end in sorted(spans):
        covered += max(end - max(start, until), 0)
        until = max(until, end)
    return covered
