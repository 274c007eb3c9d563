"""CuPy for machines without a GPU: arrays of one value, whose memory a simulated GPU counts.

A directory of its own on PYTHONPATH hides the real CuPy. RMM is the real one, on the GPU of
host_gpu.py; where all devices are hidden it meets the driver that is there, or the fake one.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import host_gpu

__version__ = "14.2.0"

hidden = os.environ.get("CUDA_VISIBLE_DEVICES") == ""
if not hidden:
    host_gpu.simulate()
    host_gpu.mr.CudaAsyncMemoryResource = lambda **_: host_gpu.device_memory()
    host_gpu.mr.set_current_device_resource = partial(host_gpu.mr.set_per_device_resource, 0)

uint8, float32, float64, int64 = (SimpleNamespace(itemsize=size) for size in (1, 4, 8, 8))


class CUDARuntimeError(RuntimeError):
    """CuPy's class for errors of CUDA."""


class Memory:
    """Some bytes of the GPU, which go back when nothing refers to them any more."""

    def __init__(self, size: int, resource: Any) -> None:
        self.size, self.resource = size, resource
        self.pointer = resource.allocate(size)
        show_use()

    def memset(self, value: int, _size: int) -> None:
        self.value = value

    def __del__(self) -> None:
        if hasattr(self, "pointer"):
            self.resource.deallocate(self.pointer, self.size)
            show_use()


def show_use() -> None:
    """Write the use of the GPU where the fake NVML reads it, in MiB."""
    if path := os.environ.get("FAKE_NVML_USED"):
        new = Path(f"{path}.new")
        new.write_text(str(host_gpu.used >> 20))
        new.replace(path)


def _from_cuda(size: int) -> Memory:
    return Memory(size, host_gpu.device_memory())


def _from_rmm(size: int) -> Memory:
    return Memory(size, host_gpu.mr.get_per_device_resource(0))


_allocator: Callable[[int], Memory] = _from_cuda


def set_allocator(allocator: Any = None) -> None:
    global _allocator  # noqa: PLW0603
    _allocator = _from_rmm if "rmm" in getattr(allocator, "__name__", "") else _from_cuda


class ndarray:  # noqa: N801 - as CuPy has it
    """An array of ``size`` elements; ``first`` and ``step`` say what they are."""

    def __init__(self, size: int, dtype: Any, first: float = 0.0, step: float = 0.0) -> None:
        self.size, self.dtype, self.first, self.step = size, dtype, first, step
        self.nbytes = size * dtype.itemsize
        self.data = _allocator(self.nbytes)

    def sum(self) -> float:
        return self.size * self.first + self.step * self.size * (self.size - 1) / 2

    def get(self) -> list[float]:
        return [getattr(self.data, "value", self.first)]

    def __getitem__(self, part: slice) -> "ndarray":
        view = ndarray.__new__(ndarray)
        view.__dict__.update(self.__dict__, size=len(range(*part.indices(self.size))))
        return view

    def __add__(self, other: float) -> "ndarray":
        return ndarray(self.size, self.dtype, self.first + other, self.step)

    def __iadd__(self, other: float) -> Self:
        self.first += other
        return self

    def __mul__(self, _: Any) -> "ndarray":
        return ndarray(self.size, self.dtype, self.first, self.step)


def full(size: int, value: float, dtype: Any = float64) -> ndarray:
    return ndarray(size, dtype, value)


def zeros(size: int, dtype: Any = float64) -> ndarray:
    return full(size, 0, dtype)


def ones(size: int, dtype: Any = float64) -> ndarray:
    return full(size, 1, dtype)


def arange(size: int, dtype: Any = float64) -> ndarray:
    return ndarray(size, dtype, 0.0, 1.0)


def empty(size: int, dtype: Any = float64) -> ndarray:
    return zeros(size, dtype)


def sqrt(array: ndarray) -> ndarray:
    return array


class HostArray:
    """What NumPy would hold of an array."""

    def __init__(self, array: Any, size: int) -> None:
        self.size, self.dtype, self.first, self.step = size, array.dtype, array.first, array.step
        self.nbytes = size * array.dtype.itemsize

    def __getitem__(self, part: slice) -> "HostArray":
        return HostArray(self, len(range(*part.indices(self.size))))


def asnumpy(array: ndarray) -> HostArray:
    return HostArray(array, array.size)


def asarray(array: ndarray | HostArray) -> ndarray:
    if isinstance(array, ndarray):
        return array
    return ndarray(array.size, array.dtype, array.first, array.step)


def _count() -> int:
    if hidden:
        raise CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
    return 1


cuda = SimpleNamespace(
    set_allocator=set_allocator,
    alloc=lambda size: _allocator(size),  # noqa: PLW0108 - it is another one later
    runtime=SimpleNamespace(
        runtimeGetVersion=lambda: 12090,
        driverGetVersion=lambda: 13000,
        getDeviceCount=_count,
        getDeviceProperties=lambda _: {"name": b"Stand-in GPU", "major": 8, "minor": 0},
        memGetInfo=lambda: (host_gpu.TOTAL - host_gpu.used, host_gpu.TOTAL),
        free=lambda _: None,
        deviceSynchronize=lambda: None,
    ),
)
get_default_memory_pool = lambda: SimpleNamespace(total_bytes=lambda: 0)  # noqa: E731
