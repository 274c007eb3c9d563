"""Simulate a GPU of 1 GiB in host memory, for RMM's own pools, limits and statistics.

Run inside a process that has imported RMM; RMM's calls of CUDA are replaced, the rest is real.
"""

import ctypes
import importlib
import os
from typing import Any

rmm: Any = importlib.import_module("rmm")
mr: Any = importlib.import_module("rmm.mr")
gpu: Any = importlib.import_module("rmm._cuda.gpu")
CudaMemoryResource = mr.CudaMemoryResource
ManagedMemoryResource = mr.ManagedMemoryResource

TOTAL = int(os.environ.get("HOST_GPU_BYTES") or 1 << 30)

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

used = 0
current = 0


def allocate(size: int, _stream: Any) -> int:
    global used  # noqa: PLW0603
    if used + size > TOTAL:
        text = (
            f"CUDA error (failed to allocate {size} bytes): cudaErrorMemoryAllocation out of memory"
        )
        raise MemoryError(text)
    used += size
    return int(libc.malloc(size))


def deallocate(pointer: int, size: int, _stream: Any) -> None:
    global used  # noqa: PLW0603
    used -= size
    libc.free(pointer)


def device_memory() -> Any:
    return mr.CallbackMemoryResource(allocate, deallocate)


def allocate_on_host(size: int, _stream: Any) -> int:
    return int(libc.malloc(size))


def deallocate_on_host(pointer: int, _size: int, _stream: Any) -> None:
    libc.free(pointer)


def host_memory() -> Any:
    return mr.CallbackMemoryResource(allocate_on_host, deallocate_on_host)


class PrefetchResourceAdaptor(mr.LimitingResourceAdaptor):  # type: ignore[misc]
    """Passes all on, as prefetching does to memory that is not managed."""

    def __init__(self, upstream: Any) -> None:
        super().__init__(upstream, 1 << 60)

    def __new__(cls, upstream: Any) -> Any:
        return super().__new__(cls, upstream, 1 << 60)


def initialize(
    pool_allocator: bool = False,  # noqa: FBT001, FBT002 - as RMM has it
    managed_memory: bool = False,  # noqa: FBT001, FBT002
    initial_pool_size: Any = None,
    maximum_pool_size: Any = None,
    devices: Any = 0,
    logging: bool = False,  # noqa: FBT001, FBT002
    log_file_name: Any = None,
) -> None:
    """Do what RMM does, in its order: it drops resources first, and changes the device."""
    if logging and log_file_name is None:
        raise ValueError("RMM log file must be specified")
    before = get_device()
    for number in [devices] if isinstance(devices, int) else devices:
        mr.set_per_device_resource(number, CudaMemoryResource())
        set_device(number)
        resource = mr.ManagedMemoryResource() if managed_memory else device_memory()
        if pool_allocator:
            resource = mr.PoolMemoryResource(resource, initial_pool_size, maximum_pool_size)
        mr.set_per_device_resource(number, resource)
    set_device(before)


def get_device() -> int:
    return current


def set_device(number: int) -> None:
    global current  # noqa: PLW0603
    if number >= 2:
        raise RuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
    current = number


def simulate() -> None:
    """Replace RMM's calls of CUDA by the simulated GPU."""
    gpu.getDevice = get_device
    gpu.setDevice = set_device
    gpu.getDeviceCount = lambda: 2
    gpu.getDeviceAttribute = lambda *_: 1
    mr.available_device_memory = lambda: (TOTAL - used, TOTAL)
    mr.CudaMemoryResource = device_memory
    mr.ManagedMemoryResource = host_memory
    mr.PrefetchResourceAdaptor = PrefetchResourceAdaptor
    mr._initialize = initialize  # where RMM 25.04 looks it up
    rmm.rmm._initialize = initialize
