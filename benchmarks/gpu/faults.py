"""What CUDA, RMM and CuPy say of a broken set-up, on a real driver."""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.gpu.worker import GIB, MIB, attempt, library

if TYPE_CHECKING:
    from collections.abc import Mapping

Calls = dict[str, Callable[[], Any]]


def probe() -> dict[str, Any]:
    """Say what there is: libraries, driver, device. Needs neither a GPU nor a library."""
    found: dict[str, Any] = {
        "driver_library": attempt(lambda: str(ctypes.CDLL("libcuda.so.1"))),
        "nodes": sorted(str(path) for path in Path("/dev").glob("nvidia*")),
    }
    for name in ("cupy", "rmm", "pynvml"):
        found[name] = attempt(lambda name=name: library(name).__version__)  # type: ignore[misc]
    if not found["cupy"]["ok"]:
        return found
    cupy = library("cupy")
    runtime = cupy.cuda.runtime

    def device() -> dict[str, Any]:
        properties = runtime.getDeviceProperties(0)
        free, total = runtime.memGetInfo()
        return {
            "name": properties["name"].decode(),
            "compute_capability": f"{properties['major']}.{properties['minor']}",
            "bytes_free": int(free),
            "bytes_total": int(total),
        }

    calls: Calls = {
        "runtime_version": runtime.runtimeGetVersion,
        "driver_version": runtime.driverGetVersion,
        "count": runtime.getDeviceCount,
        "device": device,
        "kernel": lambda: float(cupy.arange(1000, dtype=cupy.float32).sum()),
    }
    return found | {name: attempt(call) for name, call in calls.items()}


def find_obstacle(found: Mapping[str, Any]) -> str:
    """Return why nothing can be measured on a GPU, nothing when all is well."""
    if "error" in found:
        return str(found["error"])
    if not found["cupy"]["ok"]:
        return f"CuPy cannot be imported: {found['cupy']['error']}"
    if not found["driver_library"]["ok"]:
        return f"there is no driver: {found['driver_library']['error']}"
    errors = [
        found[name]["error"] for name in ("count", "device", "kernel") if not found[name]["ok"]
    ]
    return str(errors[0]) if errors else ""


def provoke(name: str) -> dict[str, Any]:
    """Provoke one of :data:`FAULTS` in this process; the caller sets its environment."""
    calls = _CALLS.get(name, _calls_without_device)(library("rmm"), library("cupy"))
    return {question: attempt(call) for question, call in calls.items()}


def _calls_without_device(rmm: Any, cupy: Any) -> Calls:
    return {
        "count": cupy.cuda.runtime.getDeviceCount,
        "reinitialize": lambda: rmm.reinitialize(managed_memory=False, pool_allocator=False),
        "first array": lambda: float(cupy.zeros(3).sum()),
    }


def _calls_with_pool_too_large(rmm: Any, _: Any) -> Calls:
    size = int(rmm.mr.available_device_memory()[1]) * 4 // 256 * 256

    def repair() -> int:
        rmm.mr.set_current_device_resource(rmm.mr.CudaMemoryResource())
        return int(rmm.DeviceBuffer(size=MIB).size)

    return {
        "reinitialize": lambda: rmm.reinitialize(pool_allocator=True, initial_pool_size=size),
        "buffer after it": lambda: rmm.DeviceBuffer(size=MIB).size,
        "buffer after a repair": repair,
    }


def _calls_with_array_too_large(rmm: Any, cupy: Any) -> Calls:
    size = int(rmm.mr.available_device_memory()[1]) * 4
    return {
        "RMM's buffer": lambda: rmm.DeviceBuffer(size=size).size,
        "CuPy's array": lambda: cupy.cuda.alloc(size).mem.size,
    }


def _calls_after_fork(_: Any, cupy: Any) -> Calls:
    def in_child() -> Any:
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            found = json.dumps(attempt(lambda: float(cupy.arange(3).sum())))
            os.write(writing, found.encode())
            os._exit(0)
        os.waitpid(child, 0)
        os.close(writing)
        return json.loads(os.read(reading, 1 << 16))

    return {"context": lambda: cupy.cuda.runtime.free(0), "array in a forked child": in_child}


def _calls_with_outlived_pool(rmm: Any, _: Any) -> Calls:
    buffers: list[Any] = []

    def buffer() -> None:
        rmm.reinitialize(pool_allocator=True, initial_pool_size=GIB)
        buffers.append(rmm.DeviceBuffer(size=MIB))

    return {
        "buffer": buffer,
        "reinitialize": lambda: rmm.reinitialize(pool_allocator=False),
        "another buffer": lambda: rmm.DeviceBuffer(size=16).size,
        "free the first": buffers.clear,
    }


_CALLS: Final[dict[str, Callable[[Any, Any], Calls]]] = {
    "other-device": lambda rmm, _: {
        "reinitialize": lambda: rmm.reinitialize(devices=[7]),
        "buffer after it": lambda: rmm.DeviceBuffer(size=MIB).size,
    },
    "pool-too-large": _calls_with_pool_too_large,
    "pool-misaligned": lambda rmm, _: {
        "reinitialize": lambda: rmm.reinitialize(pool_allocator=True, initial_pool_size=1000),
        "buffer after it": lambda: rmm.DeviceBuffer(size=MIB).size,
    },
    "array-too-large": _calls_with_array_too_large,
    "fork": _calls_after_fork,
    "buffer-outlives-its-pool": _calls_with_outlived_pool,
}
# Each fault, and what it needs of the environment.
FAULTS: Final[dict[str, dict[str, str]]] = {
    "no-visible-device": {"CUDA_VISIBLE_DEVICES": ""},
    "unknown-uuid": {"CUDA_VISIBLE_DEVICES": "GPU-deadbeef"},
    "unknown-index": {"CUDA_VISIBLE_DEVICES": "99"},
    **{name: {} for name in _CALLS},
}
