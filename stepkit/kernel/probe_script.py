"""Ask the GPU's driver, CuPy and RMM what they can do, and print it as lines of JSON.

Run as a script, in a process of its own, by the kernel's own Python: that may be another
environment's, so nothing but the standard library is imported before what is asked. Each stage says
that it begins, so that one that hangs or crashes is known. `probe.py none` leaves the GPU alone.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import re
import shutil
import sys
import uuid
from contextlib import suppress
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# As in launcher.py: what lies beside this file must not be imported in place of other modules.
if sys.path[0] == os.path.dirname(os.path.abspath(__file__)):  # noqa: PTH100, PTH120 - starts at once
    del sys.path[0]

MARK = "stepkit-probe "

# Asked for by name: others of the same prefixes (NVIDIA_API_KEY) are secrets.
VARIABLES = (
    "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES",
    "NVIDIA_REQUIRE_CUDA",
    "NVIDIA_DISABLE_REQUIRE",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "CUDA_VERSION",
    "CUDA_CACHE_PATH",
    "CUPY_CACHE_DIR",
    "NUMBA_CACHE_DIR",
    "NUMBA_DISABLE_CUDA",
    "CONDA_PREFIX",
    "HOME",
    "TMPDIR",
    "LD_LIBRARY_PATH",
)

# Of these the requirements are told, too: RAPIDS, and what brings CUDA along for it.
_RAPIDS = re.compile(
    r"(?:lib)?(?:rmm|cudf|cuml|cugraph|cuvs|raft|kvikio|ucxx|cucim|cuspatial|cupy)(?:-|\Z)"
    r"|(?:pylib|dask-cu|rapids|nx-cugraph|numba-cuda|raft-dask|distributed-ucxx|cuxfilter)"
)

# CUdevice_attribute in cuda.h.
_ATTRIBUTES = {
    "compute_mode": 20,
    "major": 75,
    "minor": 76,
    "managed": 89,  # CONCURRENT_MANAGED_ACCESS
    "pools": 115,  # MEMORY_POOLS_SUPPORTED
}


def tell(stage: str, **facts: Any) -> None:
    """Print one line; it starts anew whatever a library printed before."""
    sys.stdout.write("\n" + MARK + json.dumps({"stage": stage, **facts}) + "\n")
    sys.stdout.flush()


def begin(stage: str) -> None:
    """Say what comes next, in case nothing comes after it."""
    tell("begin", next=stage)


def main() -> None:
    """Tell everything, from what cannot fail to what does most."""
    begin("python")
    tell("python", **python_facts())
    if sys.argv[1:] != ["none"]:
        ask_gpu()
    tell("end")


def ask_gpu() -> None:
    """Ask the driver, and then the libraries that stand on it."""
    begin("driver")
    driver = driver_facts()
    tell("driver", **driver)
    begin("nvml")
    tell("nvml", **nvml_facts())
    if not driver.get("devices"):
        return
    for name, ask in (("cupy", cupy_facts), ("rmm", rmm_facts)):
        begin(name)
        tell(name, **ask())


def python_facts() -> dict[str, Any]:
    """Return the interpreter, its packages and the variables that matter for a GPU."""
    return {
        "version": ".".join(map(str, sys.version_info[:3])),
        "executable": sys.executable,
        "prefix": sys.prefix,
        "conda": os.path.isdir(os.path.join(sys.prefix, "conda-meta")),  # noqa: PTH112, PTH118
        **installed(),
        "checks": doctor_checks(),
        "rapids": shutil.which("rapids"),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def installed() -> dict[str, Any]:
    """Return the version of each distribution, what RAPIDS' own require, and what is unreadable."""
    versions: dict[str, str] = {}
    requirements: dict[str, list[str]] = {}
    unreadable: list[str] = []
    for distribution in metadata.distributions():
        try:
            name, version = name_and_version(distribution)
            if not name or name in versions:  # the first one found is the one that is imported
                continue
            versions[name] = version
            if _RAPIDS.match(name):
                requirements[name] = distribution.requires or []
        except Exception:  # noqa: BLE001 - half an installation is no reason to look no further
            unreadable.append(str(getattr(distribution, "_path", distribution)))
    return {"packages": versions, "requirements": requirements, "unreadable": unreadable}


def name_and_version(distribution: metadata.Distribution) -> tuple[str, str]:
    """Read them from the directory's name: hundreds of METADATA files take a second."""
    stem = getattr(getattr(distribution, "_path", None), "name", "")
    match = re.fullmatch(r"(.+?)-([^-]+)\.dist-info", stem)
    name, version = match.groups() if match else (distribution.metadata["Name"], None)
    version = version or distribution.version or ""
    return re.sub(r"[-_.]+", "-", name or "").lower(), version


def doctor_checks() -> list[str]:
    """Return the names of the checks that RAPIDS' packages register for `rapids doctor`."""
    names: list[str] = []
    for distribution in metadata.distributions():
        with suppress(Exception):  # others' entry points, if they can be read
            points = distribution.entry_points
            names += [point.name for point in points if point.group == "rapids_doctor_check"]
    return list(dict.fromkeys(names))


def driver_facts() -> dict[str, Any]:
    """Ask the driver alone, through its C interface."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return {"missing": str(error)}
    version = number(cuda.cuDriverGetVersion)
    facts: dict[str, Any] = {"library": loaded_from("libcuda.so"), "version": version}
    begin("cuInit")
    code = cuda.cuInit(0)
    if code:
        return {**facts, "call": "cuInit", "code": code}
    begin("devices")
    count = number(cuda.cuDeviceGetCount)
    if not count:
        return {**facts, "call": "cuDeviceGetCount", "code": 100}
    facts["devices"] = [device_facts(cuda, index) for index in range(count)]
    begin("context")
    return {**facts, **context_facts(cuda)}


def number(function: Any, *args: Any) -> int | None:
    """Call what writes one int; None if it fails."""
    value = ctypes.c_int()
    return None if function(ctypes.byref(value), *args) else value.value


def device_facts(cuda: ctypes.CDLL, index: int) -> dict[str, Any]:
    """Describe one device; it needs no context."""
    device = number(cuda.cuDeviceGet, index)
    name = ctypes.create_string_buffer(256)
    cuda.cuDeviceGetName(name, len(name), device)
    raw = ctypes.create_string_buffer(16)
    getattr(cuda, "cuDeviceGetUuid_v2", cuda.cuDeviceGetUuid)(raw, device)  # _v2 knows MIG
    total = ctypes.c_size_t()
    cuda.cuDeviceTotalMem_v2(ctypes.byref(total), device)
    return {
        "index": index,
        "name": name.value.decode(errors="replace"),
        "uuid": str(uuid.UUID(bytes=raw.raw)),
        "total": total.value,
        **{key: number(cuda.cuDeviceGetAttribute, n, device) for key, n in _ATTRIBUTES.items()},
    }


def context_facts(cuda: ctypes.CDLL) -> dict[str, Any]:
    """Use the first device, as a notebook does; CuPy and RMM share this context."""
    context, free, total = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_size_t()
    calls = (
        ("cuDevicePrimaryCtxRetain", (ctypes.byref(context), 0)),
        ("cuCtxSetCurrent", (context,)),
        ("cuMemGetInfo_v2", (ctypes.byref(free), ctypes.byref(total))),
    )
    for name, args in calls:
        code = getattr(cuda, name)(*args)
        if code:
            return {"call": name, "code": code}
    return {"free": free.value}


def loaded_from(name: str) -> str | None:
    """Return the file that a library was loaded from."""
    with open("/proc/self/maps") as maps:  # noqa: PTH123 - no pathlib, for the time it takes
        paths = [line.split(None, 5)[-1].strip() for line in maps if name in line]
    return paths[0] if paths else None


class Memory(ctypes.Structure):
    """nvmlMemory_t, in bytes."""

    _fields_ = [(name, ctypes.c_ulonglong) for name in ("total", "free", "used")]


def nvml_facts() -> dict[str, Any]:
    """Ask the driver's management library, which knows of other processes and of MIG."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError as error:
        return {"missing": str(error)}
    nvml.nvmlErrorString.restype = ctypes.c_char_p
    code = nvml.nvmlInit_v2()
    if code:
        return {"code": code, "text": nvml.nvmlErrorString(code).decode(errors="replace")}
    count = number(nvml.nvmlDeviceGetCount_v2) or 0
    driver = text(nvml, "nvmlSystemGetDriverVersion")
    return {"driver": driver, "devices": [nvml_device(nvml, index) for index in range(count)]}


def text(nvml: ctypes.CDLL, name: str, *args: Any) -> str | None:
    """Call what writes a text; None if it fails or the library is too old to have it."""
    value = ctypes.create_string_buffer(96)
    function = getattr(nvml, name, None)
    failed = function is None or function(*args, value, len(value))
    return None if failed else value.value.decode(errors="replace")


def nvml_device(nvml: ctypes.CDLL, index: int) -> dict[str, Any]:
    """Describe one card."""
    handle = ctypes.c_void_p()
    nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle))
    memory, now, later = Memory(), ctypes.c_uint(), ctypes.c_uint()
    told = not nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory))
    mig_mode = getattr(nvml, "nvmlDeviceGetMigMode", None)
    mig = mig_mode and not mig_mode(handle, ctypes.byref(now), ctypes.byref(later))
    return {
        "uuid": text(nvml, "nvmlDeviceGetUUID", handle),
        "free": memory.free if told else None,
        "mig": bool(now.value) if mig else None,
    }


def cupy_facts() -> dict[str, Any]:
    """Count, take memory and run one kernel, which CuPy compiles by NVRTC."""
    if importlib.util.find_spec("cupy") is None:
        return {"missing": True}
    try:
        cupy: Any = importlib.import_module("cupy")
    except Exception as error:  # noqa: BLE001 - every one is a finding
        return {"call": "import", "error": [type(error).__name__, str(error)]}
    calls = {
        "runtime": lambda: int(cupy.cuda.runtime.runtimeGetVersion()),
        "count": lambda: int(cupy.cuda.runtime.getDeviceCount()),
        "memory": lambda: int(cupy.zeros(256).nbytes),
        "kernel": lambda: int((cupy.arange(1024) + 1).sum()),
    }
    return told(calls)


def rmm_facts() -> dict[str, Any]:
    """Ask RMM for the memory that is free."""
    if importlib.util.find_spec("rmm") is None:
        return {"missing": True}
    return told(
        {"memory": lambda: list(importlib.import_module("rmm").mr.available_device_memory())}
    )


def told(calls: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """Return what each call returned, up to the first that raises."""
    facts: dict[str, Any] = {}
    for name, call in calls.items():
        try:
            facts[name] = call()
        except Exception as error:  # noqa: BLE001 - every one is a finding
            return {**facts, "call": name, "error": [type(error).__name__, str(error)]}
    return facts


if __name__ == "__main__":
    main()
