"""What CUDA, RMM and CuPy say of a broken set-up, on a real driver."""

import ctypes
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.gpu.worker import GIB, MIB, attempt, library


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

    found["runtime_version"] = attempt(runtime.runtimeGetVersion)
    found["driver_version"] = attempt(runtime.driverGetVersion)
    found["count"] = attempt(runtime.getDeviceCount)
    found["device"] = attempt(device)
    found["kernel"] = attempt(lambda: float(cupy.arange(1000, dtype=cupy.float32).sum()))
    return found


def find_obstacle(found: Mapping[str, Any]) -> str:
    """Return why nothing can be measured on a GPU, nothing when all is well."""
    if "error" in found:
        return str(found["error"])
    prefixes = {"cupy": "CuPy cannot be imported: ", "driver_library": "there is no driver: "}
    for name in (*prefixes, "count", "device", "kernel"):
        if not found[name]["ok"]:
            return f"{prefixes.get(name, '')}{found[name]['error']}"
    return ""


# Each fault: expressions, one after the other, that are evaluated with RMM and CuPy at hand.
_BUFFER: Final = {"buffer after it": "rmm.DeviceBuffer(size=MIB).size"}
_CALLS: Final[Mapping[str, Mapping[str, str]]] = {
    "other-device": {"reinitialize": "rmm.reinitialize(devices=[7])", **_BUFFER},
    "pool-too-large": {
        "reinitialize": "rmm.reinitialize(pool_allocator=True, initial_pool_size=too_much())",
        **_BUFFER,
        "repair": "rmm.mr.set_current_device_resource(rmm.mr.CudaMemoryResource())",
        "buffer after a repair": "rmm.DeviceBuffer(size=MIB).size",
    },
    "pool-misaligned": {
        "reinitialize": "rmm.reinitialize(pool_allocator=True, initial_pool_size=1000)",
        **_BUFFER,
    },
    "array-too-large": {
        "RMM's buffer": "rmm.DeviceBuffer(size=too_much()).size",
        "CuPy's array": "cupy.cuda.alloc(too_much()).mem.size",
    },
    "fork": {
        "context": "cupy.cuda.runtime.free(0)",
        "array in a forked child": "in_forked_child(lambda: float(cupy.arange(3).sum()))",
    },
    "buffer-outlives-its-pool": {
        "pool": "rmm.reinitialize(pool_allocator=True, initial_pool_size=GIB)",
        "buffer": "buffers.append(rmm.DeviceBuffer(size=MIB))",
        "reinitialize": "rmm.reinitialize(pool_allocator=False)",
        "another buffer": "rmm.DeviceBuffer(size=16).size",
        "free the first": "buffers.clear()",
    },
}
_WITHOUT_DEVICE: Final = {
    "count": "cupy.cuda.runtime.getDeviceCount()",
    "reinitialize": "rmm.reinitialize(managed_memory=False, pool_allocator=False)",
    "first array": "float(cupy.zeros(3).sum())",
}
# Each fault, and what it needs of the environment.
FAULTS: Final[Mapping[str, Mapping[str, str]]] = {
    "no-visible-device": {"CUDA_VISIBLE_DEVICES": ""},
    "unknown-uuid": {"CUDA_VISIBLE_DEVICES": "GPU-deadbeef"},
    "unknown-index": {"CUDA_VISIBLE_DEVICES": "99"},
    **{name: {} for name in _CALLS},
}


def provoke(name: str) -> dict[str, Any]:
    """Provoke one of :data:`FAULTS` in this process; the caller sets its environment."""
    rmm, cupy = library("rmm"), library("cupy")
    names = {"rmm": rmm, "cupy": cupy, "MIB": MIB, "GIB": GIB, "buffers": []}
    names["too_much"] = lambda: int(rmm.mr.available_device_memory()[1]) * 4 // 256 * 256
    names["in_forked_child"] = _attempt_in_forked_child
    calls = _CALLS.get(name, _WITHOUT_DEVICE)
    return {
        question: attempt(lambda call=call: eval(call, names))  # type: ignore[misc]
        for question, call in calls.items()
    }


def _attempt_in_forked_child(call: Callable[[], Any]) -> Any:
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writing, json.dumps(attempt(call)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    return json.loads(os.read(reading, 1 << 16))
