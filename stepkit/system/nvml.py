"""The GPUs that the driver's management library (NVML) shows, without CUDA in this process."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

# A large node without persistence mode takes seconds to answer the first query.
ANSWER_SECONDS: Final = 10.0

# NVML_VALUE_NOT_AVAILABLE of nvml.h is all bits set. Real values are smaller than this in any
# unit, and reports do not take larger numbers.
MOST: Final = 10**15

# NVML_COMPUTEMODE_* of nvml.h
_COMPUTE_MODES: Final = {
    0: "default",
    1: "exclusive thread",
    2: "prohibited",
    3: "exclusive process",
}


@dataclass(frozen=True, kw_only=True)
class Device:
    """A GPU, or a MIG instance of one; None is what the driver does not say.

    Memory is in bytes, ``memory_used`` with what the driver keeps for itself. ``index`` is NVML's
    (by PCI bus), which instances of one GPU share; versions are ``major.minor``.
    """

    index: int
    name: str | None = None
    uuid: str | None = None
    memory_total: int | None = None
    memory_used: int | None = None
    memory_free: int | None = None
    driver: str | None = None
    cuda_driver: str | None = None
    compute_capability: str | None = None
    mig_mode: bool | None = None
    compute_mode: str | None = None
    persistence: bool | None = None


def read_memory() -> tuple[int, int] | None:
    """Return bytes used and bytes in all, over all GPUs; None without a GPU or a driver.

    Also None when the driver does not answer within :data:`ANSWER_SECONDS`.
    """
    return _answer(_query_memory)


def read_utilisation() -> int | None:
    """Return the percentage of time in which the busiest GPU worked lately.

    None if the driver does not say so of each GPU, as for MIG instances, or does not answer within
    :data:`ANSWER_SECONDS`.
    """
    return _answer(_query_utilisation)


def _answer(ask: Callable[[], T]) -> T | None:
    """Return the answer of ``ask``, None if it takes longer than :data:`ANSWER_SECONDS`.

    A separate thread waits for it: one that waits for a driver does not handle signals.
    """
    answers: SimpleQueue[T] = SimpleQueue()
    thread = threading.Thread(target=lambda: answers.put(ask()), daemon=True)
    with suppress(Empty, RuntimeError):  # too late, or the container allows no more threads
        thread.start()
        return answers.get(timeout=ANSWER_SECONDS)
    return None


def _query_memory() -> tuple[int, int] | None:
    import pynvml

    with initialised() as ready:
        if not ready:
            return None
        try:
            count = pynvml.nvmlDeviceGetCount()
            handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(count)]
            infos = [pynvml.nvmlDeviceGetMemoryInfo(handle) for handle in handles]
        except pynvml.NVMLError:  # not supported in a MIG instance
            return None
    if not infos:
        return None
    return sum(int(info.used) for info in infos), sum(int(info.total) for info in infos)


def _query_utilisation() -> int | None:
    import pynvml

    with initialised() as ready:
        found = handles() if ready else ()
        rates = [query(pynvml.nvmlDeviceGetUtilizationRates, handle) for _, handle in found]
    if not rates or None in rates:
        return None
    return max(int(rate.gpu) for rate in rates)


def devices() -> tuple[Device, ...]:
    """Return the GPUs that the driver shows this process, none without a driver.

    ``CUDA_VISIBLE_DEVICES`` hides GPUs from CUDA alone, not from here.
    """
    with initialised() as ready:
        return tuple(describe(handle, index) for index, handle in handles()) if ready else ()


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


def handles() -> Iterator[tuple[int, Any]]:
    """Yield NVML's index and handle of each GPU; of a GPU in MIG mode, of each instance instead.

    An instance knows its own memory. A container can read nothing of the whole GPU, or reads the
    memory of all instances.
    """
    import pynvml

    for index in range(query(pynvml.nvmlDeviceGetCount) or 0):
        whole = query(pynvml.nvmlDeviceGetHandleByIndex, index)
        if whole is None:
            continue
        mode = query(pynvml.nvmlDeviceGetMigMode, whole)
        most = query(pynvml.nvmlDeviceGetMaxMigDeviceCount, whole) if mode and mode[0] else 0
        found = [
            query(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, whole, number)
            for number in range(most or 0)
        ]
        instances = [instance for instance in found if instance is not None]
        for handle in instances or [whole]:
            yield index, handle


def describe(handle: Any, index: int) -> Device:
    """Return what stays the same during a run, and the current memory."""
    import pynvml

    whole = query(pynvml.nvmlDeviceGetHandleByIndex, index)  # an instance does not know its mode
    room = query(pynvml.nvmlDeviceGetMemoryInfo, handle)
    mode = query(pynvml.nvmlDeviceGetComputeMode, handle)
    mig = query(pynvml.nvmlDeviceGetMigMode, whole)
    persistence = query(pynvml.nvmlDeviceGetPersistenceMode, handle)
    capability = query(pynvml.nvmlDeviceGetCudaComputeCapability, handle)
    cuda = query(pynvml.nvmlSystemGetCudaDriverVersion)
    return Device(
        index=index,
        name=query(pynvml.nvmlDeviceGetName, handle),
        uuid=query(pynvml.nvmlDeviceGetUUID, handle),
        memory_total=None if room is None else known(room.total),
        memory_used=None if room is None else known(room.used),
        memory_free=None if room is None else known(room.free),
        driver=query(pynvml.nvmlSystemGetDriverVersion),
        # as CUDA_VERSION of cuda.h: thousands are the major version, tens the minor one
        cuda_driver=None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
        compute_capability=None if capability is None else ".".join(map(str, capability)),
        mig_mode=None if mig is None else bool(mig[0]),
        compute_mode=None if mode is None else _COMPUTE_MODES.get(mode, f"mode {mode}"),
        persistence=None if persistence is None else bool(persistence),
    )


def known(answer: int) -> int | None:
    """Return a value of NVML, or None if it stands for "not available"."""
    return int(answer) if answer <= MOST else None


def query(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of pynvml; return None if NVML cannot answer."""
    import pynvml

    try:
        return function(*arguments)
    except (pynvml.NVMLError, UnicodeDecodeError):
        return None
