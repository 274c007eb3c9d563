"""What the container, or machine, gives a GPU notebook beside the GPU."""

from __future__ import annotations

import os
import re
import resource
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stepkit.formats import sizes
from stepkit.gpu.health.findings import Finding, Level
from stepkit.system import cgroup

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DEV: Final = Path("/dev")
_SHM: Final = Path("/dev/shm")  # noqa: S108 - this is the one, not a place for temporary files
_VERSION: Final = Path("/proc/version")
_DEFAULT_SHM: Final = 64 << 20  # bytes; docker's and Kubernetes' default
_ENOUGH_DISK: Final = sizes.GIB  # an executed notebook with plots takes tens of megabytes
_SMALL_MEMLOCK: Final = 64 << 10  # bytes; Linux' default before 5.16, too small for UCX

# Where libraries write what they compiled, and what the place is below HOME.
_CACHES: Final = {
    "CUPY_CACHE_DIR": ".cupy/kernel_cache",
    "CUDA_CACHE_PATH": ".nv/ComputeCache",
    "NUMBA_CACHE_DIR": "",
}


def facts(variables: Mapping[str, str], directory: Path) -> dict[str, Any]:
    """Return what can be measured, in bytes; None is "no limit", or that nobody tells.

    ``variables`` are those of the kernel, ``directory`` is where it works.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    places = {directory, Path(variables.get("TMPDIR") or "/tmp")}  # noqa: S108
    return {
        "nodes": nodes(),
        "wsl": wsl(),
        "shm": _capacity(_SHM),
        "memlock": None if soft == resource.RLIM_INFINITY else soft,
        "memory_limit": cgroup.memory_limit(),
        "disk": {str(place): _free(place) for place in sorted(places)},
        "unwritable": sorted(_unwritable(variables)),
    }


def nodes() -> list[str]:
    """Return the device files of GPUs: /dev/nvidia0 and on, or /dev/dxg under WSL."""
    with suppress(OSError):
        names = sorted(os.listdir(_DEV))  # noqa: PTH208 - names alone are wanted
        return [str(_DEV / name) for name in names if re.fullmatch(r"nvidia\d+|dxg", name)]
    return []


def wsl() -> bool:
    """Whether this is Linux under Windows, whose driver is Windows' own."""
    with suppress(OSError):
        return "microsoft" in _VERSION.read_text().lower()
    return False


def findings(
    told: Mapping[str, Any], *, min_disk: int | None = None, min_shm: int | None = None
) -> Iterator[Finding]:
    """Judge the facts; less than is asked for (``min_disk``, ``min_shm``, bytes) is an error."""
    yield _shm(told["shm"], min_shm)
    for place, free in told["disk"].items():
        yield _disk(place, free, min_disk)
    limit = told["memory_limit"]
    yield Finding(check="memory", text=f"limit {sizes.spell(limit)}" if limit else "no limit")
    if told["memlock"] is not None and told["memlock"] <= _SMALL_MEMLOCK:
        yield Finding(
            check="memlock",
            level="warning",
            text=f"{sizes.spell(told['memlock'])} may be locked",
            remedy="transfers between nodes (UCX) may fail: docker run --ulimit memlock=-1",
        )
    if told["wsl"]:
        yield Finding(
            check="wsl",
            level="warning",
            text="Linux under Windows: managed memory cannot exceed the GPU's",
            remedy="do not count on --rmm-mode managed here",
        )
    for place in told["unwritable"]:
        yield Finding(
            check="caches",
            level="warning",
            text=f"cannot write to {place}",
            remedy="what is compiled is compiled again in every run, or fails: set it, or HOME, "
            "to a directory that this user may write to",
        )


def _shm(capacity: int | None, least: int | None) -> Finding:
    text = sizes.spell(capacity) if capacity is not None else "there is no /dev/shm"
    remedy = "mount an emptyDir with medium: Memory at /dev/shm (docker run --shm-size=8g)"
    if least is not None and (capacity or 0) < least:
        wanted = f"{text}, {sizes.spell(least)} are asked for"
        return Finding(check="shm", level="error", text=wanted, remedy=remedy)
    if (capacity or 0) <= _DEFAULT_SHM:
        small = f"{text}: too small for dask and for data loaders"
        return Finding(check="shm", level="warning", text=small, remedy=remedy)
    return Finding(check="shm", text=text)


def _disk(place: str, free: int | None, least: int | None) -> Finding:
    if free is None:
        text, remedy = f"there is no directory {place}", "make it, or name another"
        level: Level = "error" if least else "warning"
        return Finding(check="directory", level=level, text=text, remedy=remedy)
    text, remedy = f"{sizes.spell(free)} free in {place}", "free some, or use a larger volume"
    if least is not None and free < least:
        wanted = f"{text}, {sizes.spell(least)} are asked for"
        return Finding(check="disk", level="error", text=wanted, remedy=remedy)
    if free < _ENOUGH_DISK:
        return Finding(check="disk", level="warning", text=text, remedy=remedy)
    return Finding(check="disk", text=text)


def _capacity(place: Path) -> int | None:
    with suppress(OSError):
        return shutil.disk_usage(place).total
    return None


def _free(place: Path) -> int | None:
    with suppress(OSError):
        return shutil.disk_usage(place).free
    return None


def _unwritable(variables: Mapping[str, str]) -> Iterator[str]:
    home = variables.get("HOME")
    if home and not _can_write(Path(home)):
        yield f"HOME ({home})"
    for variable, below in _CACHES.items():
        place = variables.get(variable)
        if place and not _can_write(Path(place)):
            yield f"{variable} ({place})"
        if not place and below and home and _can_write(Path(home)):
            default = Path(home, below)
            if not _can_write(default):
                yield f"{default} ({variable} is not set)"


def _can_write(place: Path) -> bool:
    """Whether files can be made in ``place``, or it can be made itself."""
    # Path.exists raises for what this user may not look into, and for names that are too long.
    while not os.path.exists(place) and place != place.parent:  # noqa: PTH110
        place = place.parent
    return os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK)  # noqa: PTH112
