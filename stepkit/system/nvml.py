"""The GPUs that the driver's management library (NVML) shows, without CUDA in this process."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, TypeVar

from stepkit.system import nvml_library

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# A large node without persistence mode takes seconds to answer the first query.
ANSWER_SECONDS: Final = 10.0


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
    with nvml_library.initialised() as ready:
        found = [nvml_library.memory(whole) for _, whole in nvml_library.cards()] if ready else []
    known = [memory for memory in found if memory is not None]
    if not known or len(known) < len(found):  # not supported in a MIG instance
        return None
    return sum(used for used, _ in known), sum(total for _, total in known)


def _query_utilisation() -> int | None:
    with nvml_library.initialised() as ready:
        found = nvml_library.handles() if ready else ()
        shares = [nvml_library.utilisation(handle) for _, handle in found]
    known = [share for share in shares if share is not None]
    return max(known) if known and len(known) == len(shares) else None


def devices() -> tuple[Device, ...]:
    """Return the GPUs that the driver shows this process, none without a driver.

    ``CUDA_VISIBLE_DEVICES`` hides GPUs from CUDA alone, not from here.
    """
    with nvml_library.initialised() as ready:
        found = nvml_library.handles() if ready else ()
        return tuple(Device(**nvml_library.describe(handle, index)) for index, handle in found)
