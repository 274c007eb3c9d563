"""GPUs as their driver's management library (NVML) sees them: no CUDA in this process."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A large node that does not keep its GPUs ready takes seconds to answer the first question.
ANSWER_SECONDS: Final = 10.0

# NVML_VALUE_NOT_AVAILABLE of nvml.h is all bits set; no true answer is as large as this, in
# whatever unit, and no report takes a larger number.
MOST: Final = 10**15

# NVML_COMPUTEMODE_* of nvml.h
_COMPUTE_MODES: Final = ("default", "exclusive thread", "prohibited", "exclusive process")


@dataclass(frozen=True, kw_only=True)
class Device:
    """A GPU, or an instance of one that MIG divides; None is what the driver does not tell.

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


def memory() -> tuple[int, int] | None:
    """Return bytes used and bytes in all, over all GPUs; None without a GPU or a driver.

    Also None when the driver does not answer within :data:`ANSWER_SECONDS`: it is asked in a
    thread of its own, because no signal gets through to one that waits for a driver.
    """
    answers: SimpleQueue[tuple[int, int] | None] = SimpleQueue()
    thread = threading.Thread(target=lambda: answers.put(_memory()), daemon=True)
    with suppress(Empty, RuntimeError):  # too late, or the container allows no more threads
        thread.start()
        return answers.get(timeout=ANSWER_SECONDS)
    return None


def _memory() -> tuple[int, int] | None:
    import pynvml

    with initialised() as ready:
        if not ready:
            return None
        try:
            count = pynvml.nvmlDeviceGetCount()
            handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(count)]
            infos = [pynvml.nvmlDeviceGetMemoryInfo(handle) for handle in handles]
        except pynvml.NVMLError:  # a MIG slice may not say
            return None
    if not infos:
        return None
    return sum(int(info.used) for info in infos), sum(int(info.total) for info in infos)


def devices() -> tuple[Device, ...]:
    """Return the GPUs that the driver shows this process, none without a driver.

    ``CUDA_VISIBLE_DEVICES`` hides GPUs from CUDA alone, not from here.
    """
    with initialised() as ready:
        return tuple(described(handle, index) for index, handle in handles()) if ready else ()


@contextmanager
def initialised() -> Iterator[bool]:
    """Keep NVML ready during the block; False without a driver that works."""
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
    """Yield NVML's index and handle of each GPU; of one that MIG divides, each instance instead.

    An instance knows its own memory; the GPU around it tells a container nothing, or too much.
    """
    import pynvml

    for index in range(asked(pynvml.nvmlDeviceGetCount) or 0):
        whole = asked(pynvml.nvmlDeviceGetHandleByIndex, index)
        if whole is None:
            continue
        parts = list(_instances(whole))
        for handle in parts or [whole]:
            yield index, handle


def _instances(whole: Any) -> Iterator[Any]:
    import pynvml

    mode = asked(pynvml.nvmlDeviceGetMigMode, whole)
    if not mode or not mode[0]:
        return
    for number in range(asked(pynvml.nvmlDeviceGetMaxMigDeviceCount, whole) or 0):
        part = asked(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, whole, number)
        if part is not None:
            yield part


def described(handle: Any, index: int) -> Device:
    """Ask for all that stays as it is during a run, and for the memory now."""
    import pynvml

    whole = asked(pynvml.nvmlDeviceGetHandleByIndex, index)  # an instance does not know its mode
    room = asked(pynvml.nvmlDeviceGetMemoryInfo, handle)
    mode = asked(pynvml.nvmlDeviceGetComputeMode, handle)
    mig = asked(pynvml.nvmlDeviceGetMigMode, whole)
    persistence = asked(pynvml.nvmlDeviceGetPersistenceMode, handle)
    capability = asked(pynvml.nvmlDeviceGetCudaComputeCapability, handle)
    cuda = asked(pynvml.nvmlSystemGetCudaDriverVersion)
    return Device(
        index=index,
        name=asked(pynvml.nvmlDeviceGetName, handle),
        uuid=asked(pynvml.nvmlDeviceGetUUID, handle),
        memory_total=None if room is None else known(room.total),
        memory_used=None if room is None else known(room.used),
        memory_free=None if room is None else known(room.free),
        driver=asked(pynvml.nvmlSystemGetDriverVersion),
        # as CUDA_VERSION of cuda.h: thousands are the major version, tens the minor one
        cuda_driver=None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
        compute_capability=None if capability is None else ".".join(map(str, capability)),
        mig_mode=None if mig is None else bool(mig[0]),
        compute_mode=None if mode is None else _named(mode),
        persistence=None if persistence is None else bool(persistence),
    )


def _named(mode: int) -> str:
    return _COMPUTE_MODES[mode] if mode < len(_COMPUTE_MODES) else f"mode {mode}"


def known(answer: int) -> int | None:
    """Return a number that NVML answered, None for one that stands for "not available"."""
    return int(answer) if answer <= MOST else None


def asked(question: Callable[..., Any], *arguments: Any) -> Any:
    """Return what NVML answers, None for whatever it cannot tell."""
    import pynvml

    try:
        return question(*arguments)
    except (pynvml.NVMLError, UnicodeDecodeError):
        return None
