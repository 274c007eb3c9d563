"""Write a run's figures in Prometheus' text format, for node_exporter's textfile collector.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from pathlib import Path

    from stepkit.gpu.monitor.summary import DeviceSummary, Summary

_STATUSES: Final = ("succeeded", "tolerated", "flaky", "failed", "cancelled")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_RESERVED: Final = frozenset({"gpu", "uuid", "name", "driver", "reason", "xid", "status", "state"})

_Labels = Mapping[str, str]


@dataclass(frozen=True)
class _Metric:
    """One gauge. A batch job's figures concern one run; a counter would add up several."""

    name: str
    help: str
    samples: tuple[tuple[_Labels, float | None], ...]


def write(
    path: Path,
    *,
    summary: Summary | None,
    labels: Mapping[str, str],
    status: str,
    exit_code: int,
    seconds: float,
    cells: Mapping[str, int],
    finished: float,
    cpu_fallback: float | None = None,
) -> None:
    """Write the metrics of one run, whole or not at all.

    ``labels`` go to every metric (``notebook``, ``pipeline`` ...); ``status`` is the report's;
    ``seconds`` is the run's length; ``cells`` counts them by state (``total``, ``run`` ...);
    ``finished`` is the run's end in seconds since 1970, ``cpu_fallback`` the share of calls that
    ran on the CPU in the GPU's place. node_exporter reads files named ``*.prom``.

    Raises :class:`ConfigurationError` for a label that Prometheus does not take or that stepkit
    sets itself, and :class:`~stepkit.errors.StepError` when the file cannot be written.
    """
    for label in labels:
        if not _LABEL.fullmatch(label) or label.startswith("__") or label in _RESERVED:
            raise ConfigurationError(
                f"the metrics cannot have a label {label!r}: use letters, digits and _,"
                f" and none of {', '.join(sorted(_RESERVED))}"
            )
    metrics = [
        _one("notebook_success", "Whether the notebook passed.", float(exit_code == 0)),
        _each("notebook_status", "How the run ended.", "status",
              {name: float(name == status) for name in dict.fromkeys((*_STATUSES, status))}),
        _one("notebook_exit_code", "Exit code of the step.", exit_code),
        _one("notebook_duration_seconds", "Length of the run.", seconds),
        _one("notebook_finished_timestamp_seconds", "End of the run, since 1970.", finished),
        _each("notebook_cells", "Code cells by state.", "state", cells),
        _one("notebook_cpu_fallback_ratio",
             "Calls of cudf.pandas and cuml.accel that ran on the CPU, of all.", cpu_fallback),
    ]  # fmt: skip
    if summary:
        whose = "of the notebook's kernel and its descendants"
        metrics += [
            _one("notebook_cpu_seconds", f"CPU time {whose}.", summary.cpu_seconds),
            _one("notebook_memory_peak_bytes", f"Most resident memory {whose}.", summary.rss_peak),
            _one("sampler_samples", "Samples taken during the run.", summary.samples),
            _one("sampler_longest_pause_seconds", "Longest time between two samples.",
                 summary.longest_pause),
            _one("sampler_cpu_seconds", "CPU time that sampling took.", summary.own_cpu_seconds),
            _one("notebook_gpu_seconds",
                 "GPUs that the notebook's kernel saw, times the length of the run.",
                 len(summary.devices) * seconds or None),
            *_device_metrics(summary.devices),
        ]  # fmt: skip
    atomic_files.write_atomically(path, _lines(metrics, labels), durable=False)


def _device_metrics(devices: Iterable[DeviceSummary]) -> Iterator[_Metric]:
    named = [
        ({"gpu": str(d.index), "uuid": d.uuid or f"unknown-{number}"}, d)
        for number, d in enumerate(devices)
    ]
    yield _Metric(
        "gpu_info",
        "GPUs that were watched.",
        tuple(
            ({**labels, "name": d.name or "", "driver": d.driver or ""}, 1) for labels, d in named
        ),
    )
    for name, text, field, scale in _FIGURES:
        values = [(labels, getattr(device, field)) for labels, device in named]
        scaled = ((labels, v if v is None else round(v * scale, 6)) for labels, v in values)
        yield _Metric(name, text, tuple(scaled))
    yield _Metric(
        "gpu_clock_event",
        "Reasons why clocks were lower than they could be, at any time of the run.",
        tuple(({**labels, "reason": r}, 1) for labels, d in named for r in d.clock_reasons),
    )
    yield _Metric(
        "gpu_xid_errors",
        "Critical errors that the driver reported during the run.",
        tuple(
            ({**labels, "xid": str(number)}, d.xids.count(number))
            for labels, d in named
            for number in sorted(set(d.xids))
        ),
    )


# name, help, field of DeviceSummary, factor to the base unit
_FIGURES: Final = (
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


def _one(name: str, text: str, value: float | None) -> _Metric:
    return _Metric(name, text, (({}, value),))


def _each(name: str, text: str, label: str, values: Mapping[str, float]) -> _Metric:
    return _Metric(name, text, tuple(({label: key}, value) for key, value in values.items()))


def _lines(metrics: Iterable[_Metric], common: _Labels) -> Iterator[str]:
    for metric in metrics:
        known = [(labels, value) for labels, value in metric.samples if value is not None]
        if not known:
            continue
        yield f"# HELP stepkit_{metric.name} {_escaped(metric.help)}\n"
        yield f"# TYPE stepkit_{metric.name} gauge\n"
        for labels, value in known:
            pairs = {**common, **labels}.items()
            quoted = [f'{name}="{_escaped(text, quote=True)}"' for name, text in pairs]
            braces = f"{{{','.join(quoted)}}}" if quoted else ""
            if not math.isfinite(value):
                number = {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")
            else:
                number = str(int(value)) if value == int(value) else repr(float(value))
            yield f"stepkit_{metric.name}{braces} {number}\n"


def _escaped(text: str, *, quote: bool = False) -> str:
    whole = text.encode("utf-8", "replace").decode()  # UTF-8 cannot hold lone surrogates
    escaped = whole.replace("\\", "\\\\").replace("\n", "\\n")
    return escaped.replace('"', '\\"') if quote else escaped
