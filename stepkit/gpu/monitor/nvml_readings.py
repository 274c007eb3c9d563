"""Read what GPUs do from NVML, many times during a run, in one session of NVML."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, suppress
from time import monotonic
from typing import Any, Final

from stepkit.system import nvml

Values = Mapping[str, "float | None"]
_Query = Callable[[], "float | tuple[float, ...]"]
_Queries = dict[tuple[str, ...], _Query]  # by the names of what the query returns

# Bits of nvmlClocksEventReason* (nvml.h) that do not concern a run: the GPU is idle (1), or an
# administrator set the clocks of applications (2).
_USUAL_REASONS: Final = 0x1 | 0x2
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
_MOST_EVENTS: Final = 64  # in one call; a broken GPU may report without end


def reason_words(bits: int) -> tuple[str, ...]:
    """Spell the reasons why clocks were lower than they could be."""
    known = (words for bit, words in _REASONS.items() if bits & bit)
    rest = bits & ~(sum(_REASONS) | _USUAL_REASONS)
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

    def __init__(self, wanted: Callable[[nvml.Device], bool] = lambda _: True) -> None:
        self.errors: list[str] = []
        self.devices: tuple[nvml.Device, ...] = ()
        self._sources: list[_Source] = []
        self._events: Any = None
        self._stack = ExitStack()
        if self._stack.enter_context(nvml.initialised()):
            described = [(nvml.describe(handle, index), handle) for index, handle in nvml.handles()]
            chosen = [(device, handle) for device, handle in described if wanted(device)]
            self.devices = tuple(device for device, _ in chosen)
            self._sources = [_Source(handle) for _, handle in chosen]
            self._listen({device.index for device in self.devices})

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
        import pynvml

        found: list[tuple[int | None, int]] = []
        try:
            while self._events is not None and len(found) < _MOST_EVENTS:
                event = pynvml.nvmlEventSetWait(self._events, 0)
                index = nvml.query(pynvml.nvmlDeviceGetIndex, event.device)
                found.append((index, int(event.eventData)))
        except pynvml.NVMLError as error:
            if error.value != pynvml.NVML_ERROR_TIMEOUT:  # type: ignore[attr-defined] # set in __new__
                self._note([f"events: {error}"])
        return found

    def close(self) -> None:
        """Shut NVML down."""
        import pynvml

        if self._events is not None:
            with suppress(pynvml.NVMLError):
                pynvml.nvmlEventSetFree(self._events)
            self._events = None
        self._sources = []
        self._stack.close()

    def _listen(self, indices: Collection[int]) -> None:
        """Register for the critical errors of the devices that can report them."""
        import pynvml

        self._events = nvml.query(pynvml.nvmlEventSetCreate) if indices else None
        for index in indices if self._events is not None else ():
            whole = nvml.query(pynvml.nvmlDeviceGetHandleByIndex, index)
            wanted = pynvml.nvmlEventTypeXidCriticalError
            nvml.query(pynvml.nvmlDeviceRegisterEvents, whole, wanted, self._events)

    def _note(self, errors: Iterator[str] | list[str]) -> None:
        self.errors += [error for error in dict.fromkeys(errors) if error not in self.errors]


class _Source:
    """The queries that one device answers."""

    def __init__(self, handle: Any) -> None:
        self._fast, self._slow = _queries(handle)
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
                answer = self._ask(queries[names], errors)
                if answer is None:
                    del queries[names]
                elif answer:
                    values.update(zip(names, answer, strict=True))
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

    @staticmethod
    def _ask(query: _Query, errors: list[str]) -> tuple[float, ...] | None:
        """Return the answer, empty when the query failed this time, None when it always will."""
        import pynvml

        try:
            answer = query()
        except pynvml.NVMLError as error:
            if _is_permanent(error):
                return None
            errors.append(str(error))
            return ()
        answers = answer if isinstance(answer, tuple) else (answer,)
        return answers if max(answers) <= nvml.MOST else ()

    def _process_memory(self, pids: Collection[int], errors: list[str]) -> float | None:
        import pynvml

        if not self._lists_processes:
            return None
        try:
            listed = pynvml.nvmlDeviceGetComputeRunningProcesses_v3(self._handle)
        except pynvml.NVMLError as error:
            self._lists_processes = not _is_permanent(error)
            errors += [str(error)] if self._lists_processes else []
            return None
        ours = [process.usedGpuMemory for process in listed if process.pid in pids]
        self._found_ours = self._found_ours or bool(ours)
        # A process that is listed has a context, which takes memory: 0 means "not known".
        if not self._found_ours or not all(ours):
            return None
        return float(sum(ours))


def _is_permanent(error: Any) -> bool:
    import pynvml

    return error.value in {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_NO_PERMISSION,
        pynvml.NVML_ERROR_INVALID_ARGUMENT,
    }


def _queries(handle: Any) -> tuple[_Queries, _Queries]:
    """Return the queries for each sample, and those whose answers cost more or change slowly."""
    import pynvml

    def utilisation() -> tuple[float, ...]:
        rates = pynvml.nvmlDeviceGetUtilizationRates(handle)
        return rates.gpu, rates.memory

    clock, sensor = pynvml.NVML_CLOCK_SM, pynvml.NVML_TEMPERATURE_GPU
    ecc = (pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC)
    fast: _Queries = {
        ("memory_used",): lambda: int(pynvml.nvmlDeviceGetMemoryInfo(handle).used),
        ("utilisation", "memory_utilisation"): utilisation,
        ("power",): lambda: pynvml.nvmlDeviceGetPowerUsage(handle) / 1000,  # from mW
        ("sm_clock",): lambda: int(pynvml.nvmlDeviceGetClockInfo(handle, clock)),
        ("clock_reasons",): lambda: _clock_reasons(handle),
        ("energy",): lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000,  # from mJ
    }
    slow: _Queries = {
        ("temperature",): lambda: int(pynvml.nvmlDeviceGetTemperature(handle, sensor)),
        ("ecc_uncorrected",): lambda: int(pynvml.nvmlDeviceGetTotalEccErrors(handle, *ecc)),
        ("retired",): lambda: _retired(handle),
    }
    return fast, slow


def _clock_reasons(handle: Any) -> int:
    """Query by the newer name, which old drivers and old nvidia-ml-py lack, else by the older."""
    import pynvml

    newer = getattr(pynvml, "nvmlDeviceGetCurrentClocksEventReasons", None)
    with suppress(pynvml.NVMLError_FunctionNotFound):  # type: ignore[attr-defined] # made at import
        if newer:
            return int(newer(handle)) & ~_USUAL_REASONS
    return int(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)) & ~_USUAL_REASONS


def _retired(handle: Any) -> int:
    """Return how many rows were remapped (Ampere and later), else how many pages were retired."""
    import pynvml

    with suppress(pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound):  # type: ignore[attr-defined]
        correctable, uncorrectable, _, _ = pynvml.nvmlDeviceGetRemappedRows(handle)
        return int(correctable) + int(uncorrectable)
    causes = (
        pynvml.NVML_PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS,
        pynvml.NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR,
    )
    return sum(len(pynvml.nvmlDeviceGetRetiredPages(handle, cause)) for cause in causes)
