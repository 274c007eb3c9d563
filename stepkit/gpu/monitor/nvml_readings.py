"""Read what GPUs do from NVML, many times during a run, in one session of NVML."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from time import monotonic
from typing import Any, Final

from stepkit.system import nvml_library
from stepkit.system.nvml import Device

Values = Mapping[str, "float | None"]

_REASONS: Final = {
    0x4: "software power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
    0x100: "display clock setting",
    0x200: "board limit",
    0x400: "reliability limit",
}


def reason_words(bits: int) -> tuple[str, ...]:
    """Spell the reasons why clocks were lower than they could be."""
    known = (words for bit, words in _REASONS.items() if bits & bit)
    rest = bits & ~(sum(_REASONS) | nvml_library.USUAL_REASONS)
    return (*known, *([f"reason {rest:#x}"] if rest else []))


class NvmlSession:
    """A session of NVML; a query that the driver does not support is made only once.

    Quantities: ``memory_used`` (bytes, with the driver's own), ``utilisation`` and
    ``memory_utilisation`` (percent of the driver's last period, 1/6 to 1 s), ``power`` (W),
    ``sm_clock`` (MHz), ``clock_reasons`` (bits), ``idle`` (1 while ``utilisation`` is 0, else 0),
    ``energy`` (J since the driver was loaded) or, from a driver without that counter,
    ``power_energy`` (J since the first reading, the sum of power over time); and those that cost
    more or change slowly: ``temperature`` (degrees C), ``ecc_uncorrected`` (since the driver was
    loaded), ``retired`` (memory rows or pages taken out of use), ``process_memory`` (bytes that
    certain processes hold).

    ``wanted`` chooses among the GPUs that the driver shows. No method raises: ``errors`` holds each
    error once. Without NVML there are no ``devices``.
    """

    def __init__(self, wanted: Callable[[Device], bool] = lambda _: True) -> None:
        self.errors: list[str] = []
        self.devices: tuple[Device, ...] = ()
        self._sources: list[_Source] = []
        self._events: nvml_library.XidEvents | None = None
        self._stack = ExitStack()
        if self._stack.enter_context(nvml_library.initialised()):
            described = [
                (Device(**nvml_library.describe(handle, index)), handle)
                for index, handle in nvml_library.handles()
            ]
            chosen = [(device, handle) for device, handle in described if wanted(device)]
            self.devices = tuple(device for device, _ in chosen)
            self._sources = [_Source(handle) for _, handle in chosen]
            self._events = nvml_library.XidEvents({device.index for device in self.devices})

    def read(self, *, slow: bool, pids: Collection[int] = ()) -> list[Values]:
        """Return the values of each device now, None for unknown ones.

        Only with ``slow`` are the queries made that cost more. ``pids`` are the processes that
        ``process_memory`` counts; it is None in a container that numbers processes differently than
        the driver.
        """
        found: list[Values] = []
        for number, source in enumerate(self._sources):
            values, errors = source.read(slow=slow, pids=pids)
            found.append(values)
            self._note(f"GPU {number}: {error}" for error in errors)
        return found

    def xids(self) -> list[tuple[int | None, int]]:
        """Return the critical errors since the last call: NVML's index of the GPU, and the XID."""
        if self._events is None:
            return []
        found, error = self._events.take()
        self._note([f"events: {error}"] if error else [])
        return found

    def close(self) -> None:
        """Shut NVML down."""
        if self._events is not None:
            self._events.close()
        self._events = None
        self._sources = []
        self._stack.close()

    def _note(self, errors: Iterator[str] | list[str]) -> None:
        self.errors += [error for error in dict.fromkeys(errors) if error not in self.errors]


class _Source:
    """The queries that one device answers."""

    def __init__(self, handle: Any) -> None:
        self._fast, self._slow = nvml_library.queries(handle)
        self._handle = handle
        self._names = [name for names in (*self._fast, *self._slow) for name in names]
        self._lists_processes = True
        self._found_ours = False
        self._power: tuple[float, float] | None = None  # when it was read last, and watts
        self._joules = 0.0

    def read(self, *, slow: bool, pids: Collection[int]) -> tuple[Values, list[str]]:
        values: dict[str, float | None] = dict.fromkeys(self._names)
        errors: list[str] = []
        for queries in (self._fast, self._slow) if slow else (self._fast,):
            for names in list(queries):
                answer = nvml_library.ask(queries[names])
                if answer.permanent:
                    del queries[names]
                elif answer.error:
                    errors.append(answer.error)
                elif answer.values:
                    values.update(zip(names, answer.values, strict=True))
        busy = values["utilisation"]
        values["idle"] = None if busy is None else float(busy == 0)
        if ("energy",) not in self._fast:
            values["power_energy"] = self._power_energy(values["power"])
        if slow and pids:
            values["process_memory"] = self._process_memory(pids, errors)
        return values, errors

    def _power_energy(self, power: float | None) -> float | None:
        """Add up power, which is taken to change evenly between two readings that are known."""
        if power is None:
            return None
        now = monotonic()
        then, before = self._power or (now, power)
        self._power = now, power
        self._joules += (power + before) / 2 * (now - then)
        return self._joules

    def _process_memory(self, pids: Collection[int], errors: list[str]) -> float | None:
        if not self._lists_processes:
            return None
        ours, answer = nvml_library.process_memory(self._handle, pids)
        if answer.error:
            self._lists_processes = not answer.permanent
            errors += [answer.error] if self._lists_processes else []
            return None
        self._found_ours = self._found_ours or bool(ours)
        # A process that is listed has a context, which takes memory: 0 means "not known".
        if not self._found_ours or not all(ours):
            return None
        return float(sum(size or 0 for size in ours))
