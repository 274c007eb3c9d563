"""The figures of one run of a notebook, as Prometheus metrics."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from stepkit.formats.prometheus_text import Gauge, each, one

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_PASSED: Final = ("succeeded", "tolerated", "flaky")
_STATUSES: Final = (*_PASSED, "failed", "cancelled")


def gauges(
    *,
    status: str,
    exit_code: int | None,
    seconds: float | None,
    cells: Mapping[str, int],
    finished: float | None,
    sampled: Mapping[str, Any] | None,
    cpu_fallback: float | None = None,
) -> Iterator[Gauge]:
    """Yield the metrics of one run.

    ``status`` is the report's; ``seconds`` is the run's length; ``cells`` counts them by state;
    ``finished`` is the run's end in seconds since 1970, ``cpu_fallback`` the share of calls that
    ran on the CPU in the GPU's place. ``sampled`` are the fields of
    :class:`stepkit.gpu.monitor.summary.Summary` as a report has them, None of a run that was not
    sampled. None, and a value of another type, is unknown.
    """
    yield one("stepkit_notebook_success", "Whether the notebook passed.", float(status in _PASSED))
    yield each(
        "stepkit_notebook_status",
        "How the run ended.",
        "status",
        {name: float(name == status) for name in dict.fromkeys((*_STATUSES, status))},
    )
    yield one("stepkit_notebook_exit_code", "Exit code of the step.", exit_code)
    yield one("stepkit_notebook_duration_seconds", "Length of the run.", seconds)
    yield one(
        "stepkit_notebook_finished_timestamp_seconds", "End of the run, since 1970.", finished
    )
    yield each("stepkit_notebook_cells", "Code cells by state.", "state", cells)
    yield one(
        "stepkit_notebook_cpu_fallback_ratio",
        "Calls of cudf.pandas and cuml.accel that ran on the CPU, of all.",
        cpu_fallback,
    )
    if not sampled:
        return
    devices = [device for device in _listed(sampled, "devices") if isinstance(device, dict)]
    for name, text, field in _SAMPLED:
        yield one(f"stepkit_{name}", text, _number(sampled.get(field)))
    yield one(
        "stepkit_notebook_gpu_seconds",
        "GPUs that the notebook's kernel saw, times the length of the run.",
        len(devices) * seconds or None if seconds else None,
    )
    yield from _device_gauges(devices)


def _device_gauges(devices: Sequence[Mapping[str, Any]]) -> Iterator[Gauge]:
    named = [
        (
            {"gpu": str(device.get("index")), "uuid": _text(device.get("uuid")) or f"unknown-{n}"},
            device,
        )
        for n, device in enumerate(devices)
    ]
    yield Gauge(
        "stepkit_gpu_info",
        "GPUs that were watched.",
        tuple(
            ({**labels, **{key: _text(device.get(key)) for key in ("name", "driver")}}, 1)
            for labels, device in named
        ),
    )
    for name, text, field, scale in _OF_DEVICE:
        values = ((labels, _number(device.get(field))) for labels, device in named)
        scaled = ((labels, v if v is None else round(v * scale, 6)) for labels, v in values)
        yield Gauge(f"stepkit_{name}", text, tuple(scaled))
    for name, text, label, field in (
        ("clock_event", "Reasons why clocks were lower than they could be, at any time of the run.",
         "reason", "clock_reasons"),
        ("xid_errors", "Critical errors that the driver reported during the run.", "xid", "xids"),
    ):  # fmt: skip
        counted = [(labels, Counter(map(str, _listed(device, field)))) for labels, device in named]
        yield Gauge(
            f"stepkit_gpu_{name}",
            text,
            tuple(
                ({**labels, label: key}, count[key]) for labels, count in counted for key in count
            ),
        )


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _listed(fields: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = fields.get(name)
    return value if isinstance(value, list | tuple) else ()


# name, help, field of Summary
_SAMPLED: Final = (
    ("notebook_cpu_seconds", "CPU time of the notebook's kernel and its descendants.",
     "cpu_seconds"),
    ("notebook_memory_peak_bytes",
     "Most resident memory of the notebook's kernel and its descendants.", "rss_peak"),
    ("sampler_samples", "Samples taken during the run.", "samples"),
    ("sampler_longest_pause_seconds", "Longest time between two samples.", "longest_pause"),
    ("sampler_cpu_seconds", "CPU time that sampling took.", "own_cpu_seconds"),
)  # fmt: skip

# name, help, field of DeviceSummary, factor to the base unit
_OF_DEVICE: Final = (
    ("gpu_memory_total_bytes", "Memory of the GPU.", "memory_total", 1),
    ("gpu_memory_baseline_bytes", "Memory in use before the notebook.", "memory_baseline", 1),
    ("gpu_memory_peak_bytes", "Most memory in use, by all.", "memory_peak", 1),
    ("gpu_process_memory_peak_bytes", "Most memory that the notebook's processes held.",
     "process_memory_peak", 1),
    ("gpu_utilization_mean_ratio", "Time with a kernel running, mean.", "utilisation_mean", 0.01),
    ("gpu_utilization_max_ratio", "Time with a kernel running, highest.", "utilisation_max", 0.01),
    ("gpu_idle_ratio", "Share of the time in which the GPU had nothing to do.", "idle", 1),
    ("gpu_power_mean_watts", "Power draw, mean.", "power_mean", 1),
    ("gpu_power_max_watts", "Power draw, highest.", "power_max", 1),
    ("gpu_energy_joules", "Energy used during the run.", "energy", 1),
    ("gpu_temperature_max_celsius", "Temperature, highest.", "temperature_max", 1),
    ("gpu_ecc_uncorrected_errors", "Uncorrected memory errors during the run.",
     "ecc_uncorrected", 1),
    ("gpu_retired_memory", "Memory rows or pages taken out of use during the run.", "retired", 1),
)  # fmt: skip
