"""What CUDA, RMM and CuPy say of a broken set-up, on a real driver."""

from __future__ import annotations

import ctypes
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.gpu_outcome import GIB, MIB, attempted, library

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Each fault, and what it needs of the environment.
FAULTS: Final[Mapping[str, Mapping[str, str]]] = {
    "no-visible-device": {"CUDA_VISIBLE_DEVICES": ""},
    "unknown-uuid": {"CUDA_VISIBLE_DEVICES": "GPU-deadbeef"},
    "unknown-index": {"CUDA_VISIBLE_DEVICES": "99"},
    "other-device": {},
    "pool-too-large": {},
    "pool-misaligned": {},
    "array-too-large": {},
    "fork": {},
    "buffer-outlives-its-pool": {},
}


def probe() -> dict[str, Any]:
    """Say what there is: libraries, driver, device. Needs no GPU, and no library."""
    found: dict[str, Any] = {
        "driver_library": attempted(lambda: str(ctypes.CDLL("libcuda.so.1"))),
        "nodes": sorted(str(path) for path in Path("/dev").glob("nvidia*")),
    }
    for name in ("cupy", "rmm", "pynvml"):
        found[name] = attempted(lambda name=name: library(name).__version__)  # type: ignore[misc]
    if found["cupy"]["ok"]:
        found |= _device()
    return found


def why_not(found: Mapping[str, Any]) -> str:
    """Return why nothing can be measured on a GPU, nothing when all is well."""
    if "error" in found:
        return str(found["error"])
    if not found["cupy"]["ok"]:
        return f"CuPy cannot be imported: {found['cupy']['error']}"
    if not found["driver_library"]["ok"]:
        return f"there is no driver: {found['driver_library']['error']}"
    for question in ("count", "device", "kernel"):
        if not found[question]["ok"]:
            return str(found[question]["error"])
    return ""


def _device() -> dict[str, Any]:
    cupy = library("cupy")
    runtime = cupy.cuda.runtime

    def device() -> dict[str, Any]:
        told = runtime.getDeviceProperties(0)
        free, total = runtime.memGetInfo()
        return {
            "name": told["name"].decode(),
            "compute_capability": f"{told['major']}.{told['minor']}",
            "bytes_free": int(free),
            "bytes_total": int(total),
        }

    questions: dict[str, Callable[[], Any]] = {
        "runtime_version": runtime.runtimeGetVersion,
        "driver_version": runtime.driverGetVersion,
        "count": runtime.getDeviceCount,
        "device": device,
        "kernel": lambda: float(cupy.arange(1000, dtype=cupy.float32).sum()),
    }
    return {name: attempted(question) for name, question in questions.items()}


def fault(name: str) -> dict[str, Any]:
    """Provoke one of :data:`FAULTS` in this process; its environment is the caller's business."""
    rmm, cupy = library("rmm"), library("cupy")
    asked = _QUESTIONS.get(name, _visible)
    return {question: attempted(call) for question, call in asked(rmm, cupy).items()}


def _visible(rmm: Any, cupy: Any) -> dict[str, Callable[[], Any]]:
    return {
        "count": cupy.cuda.runtime.getDeviceCount,
        "reinitialize": lambda: rmm.reinitialize(managed_memory=False, pool_allocator=False),
        "first array": lambda: float(cupy.zeros(3).sum()),
    }


def _other_device(rmm: Any, _: Any) -> dict[str, Callable[[], Any]]:
    return {
        "reinitialize": lambda: rmm.reinitialize(devices=[7]),
        "buffer after it": lambda: rmm.DeviceBuffer(size=MIB).size,
    }


def _pool_too_large(rmm: Any, _: Any) -> dict[str, Callable[[], Any]]:
    size = int(rmm.mr.available_device_memory()[1]) * 4 // 256 * 256

    def repaired() -> int:
        rmm.mr.set_current_device_resource(rmm.mr.CudaMemoryResource())
        return int(rmm.DeviceBuffer(size=MIB).size)

    return {
        "reinitialize": lambda: rmm.reinitialize(pool_allocator=True, initial_pool_size=size),
        "buffer after it": lambda: rmm.DeviceBuffer(size=MIB).size,
        "buffer after a repair": repaired,
    }


def _misaligned(rmm: Any, _: Any) -> dict[str, Callable[[], Any]]:
    return {
        "reinitialize": lambda: rmm.reinitialize(pool_allocator=True, initial_pool_size=1000),
        "buffer after it": lambda: rmm.DeviceBuffer(size=MIB).size,
    }


def _array_too_large(rmm: Any, cupy: Any) -> dict[str, Callable[[], Any]]:
    size = int(rmm.mr.available_device_memory()[1]) * 4
    return {
        "RMM's buffer": lambda: rmm.DeviceBuffer(size=size).size,
        "CuPy's array": lambda: cupy.cuda.alloc(size).mem.size,
    }


def _fork(_: Any, cupy: Any) -> dict[str, Callable[[], Any]]:
    def in_child() -> Any:
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            told = json.dumps(attempted(lambda: float(cupy.arange(3).sum())))
            os.write(writing, told.encode())
            os._exit(0)
        os.waitpid(child, 0)
        os.close(writing)
        return json.loads(os.read(reading, 1 << 16))

    return {"context": lambda: cupy.cuda.runtime.free(0), "array in a forked child": in_child}


def _outlives(rmm: Any, _: Any) -> dict[str, Callable[[], Any]]:
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


_QUESTIONS: Final = {
    "other-device": _other_device,
    "pool-too-large": _pool_too_large,
    "pool-misaligned": _misaligned,
    "array-too-large": _array_too_large,
    "fork": _fork,
    "buffer-outlives-its-pool": _outlives,
}
