"""Call NVIDIA's management library through nvidia-ml-py, which nothing else in stepkit imports.

A handle stands for a GPU, or for an instance of one in MIG mode. Numbers are in base units.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    Query = Callable[[], "float | tuple[float, ...]"]
    Queries = dict[tuple[str, ...], Query]  # by the names of what the query returns

# NVML_VALUE_NOT_AVAILABLE of nvml.h is all bits set. Real values are smaller than this in any
# unit, and reports do not take larger numbers.
MOST: Final = 10**15
_NONE_OF_32_BITS: Final = {0xFFFFFFFF, 0xFFFFFFFF / 1000}  # the same for "unsigned int"

# Bits of nvmlClocksEventReason* (nvml.h) that do not concern a run: the GPU is idle (1), or an
# administrator set the clocks of applications (2).
USUAL_REASONS: Final = 0x1 | 0x2

# NVML_COMPUTEMODE_* of nvml.h
_COMPUTE_MODES: Final = {
    0: "default",
    1: "exclusive thread",
    2: "prohibited",
    3: "exclusive process",
}
_MOST_EVENTS: Final = 64  # in one call; a broken GPU may report without end


@dataclass(frozen=True)
class Answer:
    """What a query returned; ``error`` if it failed, which it always will if ``permanent``."""

    values: tuple[float, ...] = ()
    error: str = ""
    permanent: bool = False


@contextmanager
def initialised() -> Iterator[bool]:
    """Keep NVML initialised during the block; yield False without a working driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield False
        return
    try:
        yield True
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def cards() -> Iterator[tuple[int, Any]]:
    """Yield NVML's index and the handle of each whole GPU."""
    import pynvml

    for index in range(_query(pynvml.nvmlDeviceGetCount) or 0):
        whole = _query(pynvml.nvmlDeviceGetHandleByIndex, index)
        if whole is not None:
            yield index, whole


def handles() -> Iterator[tuple[int, Any]]:
    """Yield NVML's index and handle of each GPU; of a GPU in MIG mode, of each instance instead.

    An instance knows its own memory. A container can read nothing of the whole GPU, or reads the
    memory of all instances.
    """
    import pynvml

    for index, whole in cards():
        mode = _query(pynvml.nvmlDeviceGetMigMode, whole)
        most = _query(pynvml.nvmlDeviceGetMaxMigDeviceCount, whole) if mode and mode[0] else 0
        found = [
            _query(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, whole, number)
            for number in range(most or 0)
        ]
        instances = [instance for instance in found if instance is not None]
        for handle in instances or [whole]:
            yield index, handle


def describe(handle: Any, index: int) -> dict[str, Any]:
    """Return the fields of :class:`~stepkit.system.nvml.Device`, None for what is unknown."""
    import pynvml

    whole = _query(pynvml.nvmlDeviceGetHandleByIndex, index)  # an instance does not know its mode
    room = _query(pynvml.nvmlDeviceGetMemoryInfo, handle)
    mode = _query(pynvml.nvmlDeviceGetComputeMode, handle)
    mig = _query(pynvml.nvmlDeviceGetMigMode, whole)
    persistence = _query(pynvml.nvmlDeviceGetPersistenceMode, handle)
    capability = _query(pynvml.nvmlDeviceGetCudaComputeCapability, handle)
    cuda = _query(pynvml.nvmlSystemGetCudaDriverVersion)
    return {
        "index": index,
        "name": _query(pynvml.nvmlDeviceGetName, handle),
        "uuid": _query(pynvml.nvmlDeviceGetUUID, handle),
        "memory_total": None if room is None else _known(room.total),
        "memory_used": None if room is None else _known(room.used),
        "memory_free": None if room is None else _known(room.free),
        "driver": _query(pynvml.nvmlSystemGetDriverVersion),
        # as CUDA_VERSION of cuda.h: thousands are the major version, tens the minor one
        "cuda_driver": None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
        "compute_capability": None if capability is None else ".".join(map(str, capability)),
        "mig_mode": None if mig is None else bool(mig[0]),
        "compute_mode": None if mode is None else _COMPUTE_MODES.get(mode, f"mode {mode}"),
        "persistence": None if persistence is None else bool(persistence),
    }


def memory(handle: Any) -> tuple[int, int] | None:
    """Return the bytes in use and in all, None if they are unknown."""
    import pynvml

    room = _query(pynvml.nvmlDeviceGetMemoryInfo, handle)
    return None if room is None else (int(room.used), int(room.total))


def utilisation(handle: Any) -> int | None:
    """Return the percentage of time in which a kernel ran lately, None if it is unknown."""
    import pynvml

    rates = _query(pynvml.nvmlDeviceGetUtilizationRates, handle)
    return None if rates is None else int(rates.gpu)


def queries(handle: Any) -> tuple[Queries, Queries]:
    """Return the queries for each sample, and those whose answers cost more or change slowly."""
    import pynvml

    def rates() -> tuple[float, ...]:
        found = pynvml.nvmlDeviceGetUtilizationRates(handle)
        return found.gpu, found.memory

    clock, sensor = pynvml.NVML_CLOCK_SM, pynvml.NVML_TEMPERATURE_GPU
    ecc = (pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC)
    fast: Queries = {
        ("memory_used",): lambda: int(pynvml.nvmlDeviceGetMemoryInfo(handle).used),
        ("utilisation", "memory_utilisation"): rates,
        ("power",): lambda: pynvml.nvmlDeviceGetPowerUsage(handle) / 1000,  # from mW
        ("sm_clock",): lambda: int(pynvml.nvmlDeviceGetClockInfo(handle, clock)),
        ("clock_reasons",): lambda: _clock_reasons(handle),
        ("energy",): lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000,  # from mJ
    }
    slow: Queries = {
        ("temperature",): lambda: int(pynvml.nvmlDeviceGetTemperature(handle, sensor)),
        ("ecc_uncorrected",): lambda: int(pynvml.nvmlDeviceGetTotalEccErrors(handle, *ecc)),
        ("retired",): lambda: _retired(handle),
    }
    return fast, slow


def ask(query: Query) -> Answer:
    """Return the answer to one of :func:`queries`; one that is not available has no values."""
    import pynvml

    try:
        answer = query()
    except pynvml.NVMLError as error:
        return Answer(error=str(error), permanent=_is_permanent(error))
    values = answer if isinstance(answer, tuple) else (answer,)
    known = max(values) <= MOST and _NONE_OF_32_BITS.isdisjoint(values)
    return Answer(values if known else ())


def process_memory(handle: Any, pids: Collection[int]) -> tuple[list[int | None], Answer]:
    """Return the bytes that each of those processes holds which the driver lists, None if unknown.

    Processes of another container are listed with 0 bytes. The answer has the error, if any.
    """
    import pynvml

    try:
        listed = pynvml.nvmlDeviceGetComputeRunningProcesses_v3(handle)
    except pynvml.NVMLError as error:
        return [], Answer(error=str(error), permanent=_is_permanent(error))
    return [process.usedGpuMemory for process in listed if process.pid in pids], Answer()


class XidEvents:
    """The critical errors (XID) of the GPUs with ``indices``, as far as they report them."""

    def __init__(self, indices: Collection[int]) -> None:
        import pynvml

        self._events = _query(pynvml.nvmlEventSetCreate) if indices else None
        for index in indices if self._events is not None else ():
            whole = _query(pynvml.nvmlDeviceGetHandleByIndex, index)
            wanted = pynvml.nvmlEventTypeXidCriticalError
            _query(pynvml.nvmlDeviceRegisterEvents, whole, wanted, self._events)

    def take(self) -> tuple[list[tuple[int | None, int]], str]:
        """Return NVML's index and the XID of each since the last call, and an error or ``""``."""
        import pynvml

        found: list[tuple[int | None, int]] = []
        try:
            while self._events is not None and len(found) < _MOST_EVENTS:
                event = pynvml.nvmlEventSetWait(self._events, 0)
                found.append((_query(pynvml.nvmlDeviceGetIndex, event.device), event.eventData))
        except pynvml.NVMLError as error:
            if error.value != pynvml.NVML_ERROR_TIMEOUT:  # type: ignore[attr-defined] # set in __new__
                return found, str(error)
        return found, ""

    def close(self) -> None:
        """Listen no more."""
        import pynvml

        if self._events is not None:
            with suppress(pynvml.NVMLError):
                pynvml.nvmlEventSetFree(self._events)
        self._events = None


def _clock_reasons(handle: Any) -> int:
    """Query by the newer name, which old drivers and old nvidia-ml-py lack, else by the older."""
    import pynvml

    newer = getattr(pynvml, "nvmlDeviceGetCurrentClocksEventReasons", None)
    with suppress(pynvml.NVMLError_FunctionNotFound):  # type: ignore[attr-defined] # made at import
        if newer:
            return int(newer(handle)) & ~USUAL_REASONS
    return int(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)) & ~USUAL_REASONS


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


def _is_permanent(error: Any) -> bool:
    import pynvml

    return error.value in {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_NO_PERMISSION,
        pynvml.NVML_ERROR_INVALID_ARGUMENT,
    }


def _known(answer: int) -> int | None:
    """Return a value of NVML, or None if it stands for "not available"."""
    return int(answer) if answer <= MOST else None


def _query(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of pynvml; return None if NVML cannot answer."""
    import pynvml

    try:
        return function(*arguments)
    except (pynvml.NVMLError, UnicodeDecodeError):
        return None
