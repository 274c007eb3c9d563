"""CUDA's devices, asked through RMM once the notebook has imported it."""

from __future__ import annotations

import ctypes
import importlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_RTLD_NOLOAD = 4  # dlopen(3), Linux


def resources() -> Any:
    """Return the module ``rmm.mr``."""
    return importlib.import_module("rmm.mr")


def _gpu() -> Any:
    return importlib.import_module("rmm._cuda.gpu")


def count() -> int:
    """Return how many devices there are. Raises RMM's error when there is none."""
    return int(_gpu().getDeviceCount())


def current() -> int:
    """Return the current device. Raises RMM's error when there is none."""
    return int(_gpu().getDevice())


@contextmanager
def selected(number: int) -> Iterator[None]:
    """Make a device the current one within the block."""
    before = current()
    _gpu().setDevice(number)
    try:
        yield
    finally:
        _gpu().setDevice(before)


def select(number: int) -> None:
    """Make a device the current one."""
    _gpu().setDevice(number)


def free(devices: Sequence[int]) -> int:
    """Return the bytes that are free on the fullest of ``devices``."""
    sizes = []
    for number in devices:
        with selected(number):
            sizes.append(int(resources().available_device_memory()[0]))
    return min(sizes)


def pages_leave(number: int) -> bool:
    """Return whether pages of managed memory can leave the device when it is full.

    They cannot under WSL and on some vGPUs: managed memory is limited to the device's there.
    """
    gpu = _gpu()
    attribute = gpu.runtime.cudaDeviceAttr.cudaDevAttrConcurrentManagedAccess
    return bool(gpu.getDeviceAttribute(attribute, number))


def driver_version() -> int | None:
    """Return the driver's CUDA version as 1000 * major + 10 * minor.

    It is 0 without a driver, and None if unknown.
    """
    try:
        return int(_gpu().driverGetVersion())
    except Exception:  # it only makes a message clearer
        return None


def initialised() -> bool:
    """Return whether this thread has a CUDA context, without making one."""
    try:
        driver = ctypes.CDLL("libcuda.so.1", mode=_RTLD_NOLOAD)
        context = ctypes.c_void_p()
        return driver.cuCtxGetCurrent(ctypes.byref(context)) == 0 and bool(context.value)
    except (OSError, AttributeError):
        return False
