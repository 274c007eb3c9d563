"""Ask the GPU's driver, CuPy and RMM what they can do, and print it as lines of JSON.

stepkit.gpu.health.run_probe runs this script in a separate process, by the kernel's own Python:
that may belong to another environment, so only the standard library is imported before CuPy and RMM
are tested. Each stage prints a line when it begins, which names a stage that hangs or crashes.
`probe_script.py none` leaves the GPU alone.
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

# As in launcher.py: modules beside this file must not hide those that are imported here.
if sys.path[0] == os.path.dirname(os.path.abspath(__file__)):  # noqa: PTH100, PTH120 - starts at once
    del sys.path[0]

MARK = "stepkit-probe "

# Listed by name, because others with the same prefixes (NVIDIA_API_KEY) are secrets.
_VARIABLES = re.compile(
    r"(?:NVIDIA_(?:VISIBLE_DEVICES|DRIVER_CAPABILITIES|REQUIRE_CUDA|DISABLE_REQUIRE)"
    r"|CUDA_(?:VISIBLE_DEVICES|DEVICE_ORDER|VERSION|CACHE_PATH)|(?:CUPY|NUMBA)_CACHE_DIR"
    r"|NUMBA_DISABLE_CUDA|CONDA_PREFIX|HOME|TMPDIR|LD_LIBRARY_PATH)\Z"
)

# Packages whose requirements are printed, too: RAPIDS, and those that bring CUDA along for it.
_RAPIDS = re.compile(
    r"(?:lib)?(?:rmm|cudf|cuml|cugraph|cuvs|raft|kvikio|ucxx|cucim|cuspatial|cupy)(?:-|\Z)"
    r"|(?:pylib|dask-cu|rapids|nx-cugraph|numba-cuda|raft-dask|distributed-ucxx|cuxfilter)"
)

LACKS_FUNCTION = 13  # NVML_ERROR_FUNCTION_NOT_FOUND of nvml.h

# CUdevice_attribute in cuda.h.
_ATTRIBUTES = {
    "compute_mode": 20,
    "major": 75,
    "minor": 76,
    "managed": 89,  # CONCURRENT_MANAGED_ACCESS
    "pools": 115,  # MEMORY_POOLS_SUPPORTED
}


def write(stage: str, **facts: Any) -> None:
    """Print the facts of one stage on a new line: a library may have printed half a line."""
    sys.stdout.write("\n" + MARK + json.dumps({"stage": stage, **facts}) + "\n")
    sys.stdout.flush()


def begin(stage: str) -> None:
    """Print that a stage begins, in case it never ends."""
    write("begin", next=stage)


def main() -> None:
    """Print all stages: the least likely to fail first."""
    begin("python")
    write("python", **python_facts())
    if sys.argv[1:] != ["none"]:
        begin("driver")
        driver = driver_facts()
        write("driver", **driver)
        begin("nvml")
        write("nvml", **nvml_facts())
        if driver.get("devices"):
            begin("cupy")
            write("cupy", **cupy_facts())
            begin("rmm")
            write("rmm", **rmm_facts())
    write("end")


def python_facts() -> dict[str, Any]:
    """Return the interpreter, its packages and the variables that matter for a GPU."""
    return {
        "version": ".".join(map(str, sys.version_info[:3])),
        "executable": sys.executable,
        "prefix": sys.prefix,
        "conda": os.path.isdir(os.path.join(sys.prefix, "conda-meta")),  # noqa: PTH112, PTH118
        **installed(),
        "rapids": shutil.which("rapids"),
        "variables": {n: value for n, value in os.environ.items() if _VARIABLES.match(n)},
    }


def installed() -> dict[str, Any]:
    """Return versions, RAPIDS' requirements, what is unreadable, and others' `rapids doctor`."""
    checks: list[str] = []
    versions: dict[str, str] = {}
    requirements: dict[str, list[str]] = {}
    unreadable: list[str] = []
    for distribution in metadata.distributions():
        with suppress(Exception):  # entry points that cannot be read
            points = (p for p in distribution.entry_points if p.group == "rapids_doctor_check")
            checks += [p.name for p in points if not p.value.startswith("stepkit.")]
        path = getattr(distribution, "_path", None)
        try:
            # From the directory's name: reading hundreds of METADATA files takes a second.
            match = re.fullmatch(r"(.+?)-([^-]+)\.dist-info", getattr(path, "name", ""))
            name, version = match.groups() if match else (distribution.metadata["Name"], None)
            name = re.sub(r"[-_.]+", "-", name or "").lower()
            version = version or distribution.version or ""
            if not name or name in versions:  # the first one found is the one that is imported
                continue
            versions[name] = version
            if _RAPIDS.match(name):
                requirements[name] = distribution.requires or []
        except Exception:  # noqa: BLE001 - one broken installation must not hide the others
            unreadable.append(str(path or distribution))
    return {
        "packages": versions,
        "requirements": requirements,
        "unreadable": unreadable,
        "checks": list(dict.fromkeys(checks)),
    }


def driver_facts() -> dict[str, Any]:
    """Ask the driver, through its C interface."""
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
    """Return the int that a C function writes, None if it fails."""
    value = ctypes.c_int()
    return None if function(ctypes.byref(value), *args) else value.value


def device_facts(cuda: ctypes.CDLL, index: int) -> dict[str, Any]:
    """Describe one device, which needs no context."""
    device = number(cuda.cuDeviceGet, index)
    name = ctypes.create_string_buffer(256)
    cuda.cuDeviceGetName(name, len(name), device)
    raw = ctypes.create_string_buffer(16)
    uuid_of = getattr(cuda, "cuDeviceGetUuid_v2", None) or cuda.cuDeviceGetUuid  # _v2 knows MIG
    uuid_of(raw, device)
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
    """Use the first device as a notebook does; CuPy and RMM share this context."""
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
    """Ask the driver's management library, which knows other processes and MIG."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError as error:
        return {"missing": str(error)}
    code = call(nvml, "nvmlInit_v2")
    if code:
        return {"code": code, "text": error_text(nvml, code)}
    count = ctypes.c_uint()
    call(nvml, "nvmlDeviceGetCount_v2", ctypes.byref(count))
    driver = text(nvml, "nvmlSystemGetDriverVersion")
    return {"driver": driver, "devices": [nvml_device(nvml, index) for index in range(count.value)]}


def call(nvml: ctypes.CDLL, name: str, *args: Any) -> int:
    """Call a function that returns an error code; one that the library lacks is an error, too."""
    function = getattr(nvml, name, None)
    return LACKS_FUNCTION if function is None else int(function(*args))


def error_text(nvml: ctypes.CDLL, code: int) -> str:
    """Return what an error code means, as far as the library says so."""
    if code == LACKS_FUNCTION:
        return "Function Not Found"
    spell = getattr(nvml, "nvmlErrorString", None)
    if spell is None:
        return f"error {code}"
    spell.restype = ctypes.c_char_p
    return str(spell(code).decode(errors="replace"))


def text(nvml: ctypes.CDLL, name: str, *args: Any) -> str | None:
    """Return the text that a C function writes, None if it fails."""
    value = ctypes.create_string_buffer(96)
    failed = call(nvml, name, *args, value, len(value))
    return None if failed else value.value.decode(errors="replace")


def nvml_device(nvml: ctypes.CDLL, index: int) -> dict[str, Any]:
    """Describe one card."""
    handle = ctypes.c_void_p()
    call(nvml, "nvmlDeviceGetHandleByIndex_v2", index, ctypes.byref(handle))
    memory, now, later = Memory(), ctypes.c_uint(), ctypes.c_uint()
    known = not call(nvml, "nvmlDeviceGetMemoryInfo", handle, ctypes.byref(memory))
    mig = not call(nvml, "nvmlDeviceGetMigMode", handle, ctypes.byref(now), ctypes.byref(later))
    return {
        "uuid": text(nvml, "nvmlDeviceGetUUID", handle),
        "free": memory.free if known else None,
        "mig": bool(now.value) if mig else None,
    }


def cupy_facts() -> dict[str, Any]:
    """Count devices, take memory and run one kernel, which CuPy compiles with NVRTC."""
    if importlib.util.find_spec("cupy") is None:
        return {"missing": True}
    try:
        cupy: Any = importlib.import_module("cupy")
    except Exception as error:  # noqa: BLE001 - each one is a finding
        return {"call": "import", "error": [type(error).__name__, str(error)]}
    calls = {
        "runtime": lambda: int(cupy.cuda.runtime.runtimeGetVersion()),
        "count": lambda: int(cupy.cuda.runtime.getDeviceCount()),
        "memory": lambda: int(cupy.zeros(256).nbytes),
        "kernel": lambda: int((cupy.arange(1024) + 1).sum()),
    }
    return call_each(calls)


def rmm_facts() -> dict[str, Any]:
    """Ask RMM for the memory that is free."""
    if importlib.util.find_spec("rmm") is None:
        return {"missing": True}
    return call_each(
        {"memory": lambda: list(importlib.import_module("rmm").mr.available_device_memory())}
    )


def call_each(calls: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """Return what each call returned, up to the first that raises."""
    facts: dict[str, Any] = {}
    for name, call in calls.items():
        try:
            facts[name] = call()
        except Exception as error:  # noqa: BLE001 - each one is a finding
            return {**facts, "call": name, "error": [type(error).__name__, str(error)]}
    return facts


if __name__ == "__main__":
    main()
