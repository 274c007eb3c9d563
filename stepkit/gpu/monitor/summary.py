"""Summarise a run's timeline in a few figures, for the report and for metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stepkit.gpu.monitor.nvml_readings import reason_words

if TYPE_CHECKING:
    from stepkit.gpu.monitor.timeline import Extent, Timeline
    from stepkit.system.nvml import Device


@dataclass(frozen=True, kw_only=True)
class DeviceSummary:
    """One GPU during a run; None means unknown.

    ``index`` is NVML's. Memory is in bytes: in total, in use before the notebook, the most in use,
    and the most that the notebook's own processes held, if the driver knows them. Utilisation is in
    percent, power in watts, energy in joules, temperature in degrees Celsius, the clock in MHz.
    ``energy_source`` is ``counter`` for the driver's own, ``power`` for the sum of power over time.
    ``idle`` is the share of the time in which the GPU had nothing to do, from 0 to 1.
    ``clock_reasons`` say why clocks were lower than they could be, at any time.
    ``ecc_uncorrected`` and ``retired`` (memory rows or pages) count only those of this run.
    """

    index: int
    name: str | None
    uuid: str | None
    driver: str | None
    cuda_driver: str | None
    compute_capability: str | None
    mig_mode: bool | None
    memory_total: int | None
    memory_baseline: int | None
    memory_peak: int | None
    process_memory_peak: int | None
    utilisation_mean: float | None
    utilisation_max: float | None
    memory_utilisation_mean: float | None
    power_mean: float | None
    power_max: float | None
    energy: float | None
    energy_source: Literal["counter", "power"] | None
    idle: float | None
    temperature_max: float | None
    sm_clock_max: float | None
    clock_reasons: tuple[str, ...]
    ecc_uncorrected: int | None
    retired: int | None
    xids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A run in figures: seconds, bytes; ``rss_peak`` and ``cpu_seconds`` of the kernel's tree.

    ``longest_pause`` is between two samples, ``own_cpu_seconds`` is the sampler's own CPU time, and
    ``errors`` are those of sampling.
    """

    devices: tuple[DeviceSummary, ...]
    cpu_seconds: float | None
    rss_peak: int | None
    processes_max: int | None
    interval: float
    samples: int
    seconds: float
    longest_pause: float
    own_cpu_seconds: float
    errors: tuple[str, ...]

    @property
    def memory_peak(self) -> int | None:
        """The most bytes in use on one GPU, None if unknown."""
        known = (device.memory_peak for device in self.devices)
        return max((peak for peak in known if peak is not None), default=None)


def summary(timeline: Timeline) -> Summary:
    """Return the figures of ``timeline``; thinning changed none of them."""
    extents, seconds = timeline.extents, timeline.seconds
    cpu, rss, processes = (extents.get(name) for name in ("cpu_seconds", "rss", "processes"))
    return Summary(
        devices=tuple(_device_summary(timeline, *item) for item in enumerate(timeline.devices)),
        cpu_seconds=round(cpu.last, 2) if cpu else None,
        rss_peak=_highest(rss),
        processes_max=_highest(processes),
        interval=timeline.interval,
        samples=timeline.samples,
        seconds=round(seconds[-1] - seconds[0], 3) if seconds else 0.0,
        longest_pause=round(timeline.longest_pause, 3),
        own_cpu_seconds=round(timeline.own_cpu_seconds, 4),
        errors=tuple(timeline.errors),
    )


def _device_summary(timeline: Timeline, number: int, device: Device) -> DeviceSummary:
    prefix = f"gpu{number}."
    found = {
        name.removeprefix(prefix): extent
        for name, extent in timeline.extents.items()
        if name.startswith(prefix)
    }
    memory, power = found.get("memory_used"), found.get("power")
    utilisation, idle, counter = (found.get(n) for n in ("utilisation", "idle", "energy"))
    energy = counter or found.get("power_energy")
    column = timeline.of_device(number, "energy" if counter else "power_energy")
    if energy and (energy.highest > energy.last or column[-1] is None):
        energy = None  # the counter was set back, or the driver did not answer at the end
    return DeviceSummary(
        index=device.index,
        name=device.name,
        uuid=device.uuid,
        driver=device.driver,
        cuda_driver=device.cuda_driver,
        compute_capability=device.compute_capability,
        mig_mode=device.mig_mode,
        memory_total=device.memory_total,
        memory_baseline=round(memory.first) if memory else None,
        memory_peak=_highest(memory),
        process_memory_peak=_highest(found.get("process_memory")),
        utilisation_mean=_mean(utilisation),
        utilisation_max=_most(utilisation),
        memory_utilisation_mean=_mean(found.get("memory_utilisation")),
        power_mean=_mean(power),
        power_max=_most(power),
        energy=round(energy.last - energy.first, 1) if energy else None,
        energy_source=("counter" if counter else "power") if energy else None,
        idle=round(idle.mean, 4) if idle else None,
        temperature_max=_most(found.get("temperature")),
        sm_clock_max=_most(found.get("sm_clock")),
        clock_reasons=reason_words(_highest(found.get("clock_reasons")) or 0),
        ecc_uncorrected=_counted(found.get("ecc_uncorrected")),
        retired=_counted(found.get("retired")),
        xids=tuple(xid.number for xid in timeline.xids if xid.device in {device.index, None}),
    )


def _highest(extent: Extent | None) -> int | None:
    return round(extent.highest) if extent else None


def _most(extent: Extent | None) -> float | None:
    return round(extent.highest, 1) if extent else None


def _mean(extent: Extent | None) -> float | None:
    return round(extent.mean, 1) if extent else None


def _counted(extent: Extent | None) -> int | None:
    return round(max(extent.highest - extent.first, 0)) if extent else None
