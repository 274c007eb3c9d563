"""What a container, or a machine, offers a GPU notebook besides the GPU: memory, disk, caches."""

from __future__ import annotations

import os
import re
import resource
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stepkit.formats import sizes
from stepkit.gpu.health.findings import Finding, Level, warning
from stepkit.system import cgroup

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DEV: Final = Path("/dev")
_SHM: Final = Path("/dev/shm")  # noqa: S108 - this is the one, not a place for temporary files
_VERSION: Final = Path("/proc/version")
_DEFAULT_SHM: Final = 64 << 20  # bytes; docker's and Kubernetes' default
_ENOUGH_DISK: Final = sizes.GIB  # an executed notebook with plots takes tens of megabytes
_SMALL_MEMLOCK: Final = 64 << 10  # bytes; Linux' default before 5.16, too small for UCX

# Where libraries write what they compiled, and their default place below HOME.
_CACHES: Final = {
    "CUPY_CACHE_DIR": ".cupy/kernel_cache",
    "CUDA_CACHE_PATH": ".nv/ComputeCache",
    "NUMBA_CACHE_DIR": "",
}


def facts(variables: Mapping[str, str], directory: Path) -> dict[str, Any]:
    """Return what can be measured, in bytes; None means "no limit" or "unknown".

    ``variables`` are those of the kernel, ``directory`` is where it works.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    shm: int | None = None
    with suppress(OSError):
        shm = shutil.disk_usage(_SHM).total
    disk: dict[str, int | None] = {}
    for place in sorted({directory, Path(variables.get("TMPDIR") or "/tmp")}):  # noqa: S108
        disk[str(place)] = None
        with suppress(OSError):
            disk[str(place)] = shutil.disk_usage(place).free
    return {
        "nodes": nodes(),
        "wsl": wsl(),
        "shm": shm,
        "memlock": None if soft == resource.RLIM_INFINITY else soft,
        "memory_limit": cgroup.memory_limit(),
        "disk": disk,
        "unwritable": sorted(_unwritable_caches(variables)),
    }


def nodes() -> list[str]:
    """Return the device files of GPUs: /dev/nvidia0 and on, or /dev/dxg under WSL."""
    with suppress(OSError):
        names = sorted(os.listdir(_DEV))  # noqa: PTH208 - names alone are wanted
        return [str(_DEV / name) for name in names if re.fullmatch(r"nvidia\d+|dxg", name)]
    return []


def wsl() -> bool:
    """Return whether this is Linux under Windows, which uses Windows' driver."""
    with suppress(OSError):
        return "microsoft" in _VERSION.read_text().lower()
    return False


def findings(
    facts: Mapping[str, Any], *, min_disk: int | None = None, min_shm: int | None = None
) -> Iterator[Finding]:
    """Judge the ``facts``; less than ``min_disk`` or ``min_shm`` (bytes) is an error."""
    shm = facts["shm"]
    yield _space(
        "shm",
        shm or 0,
        text="there is no /dev/shm" if shm is None else sizes.spell(shm),
        remedy="mount an emptyDir with medium: Memory at /dev/shm (docker run --shm-size=8g)",
        least=min_shm,
        enough=_DEFAULT_SHM + 1,
        too_small=": too small for dask and for data loaders",
    )
    for place, free in facts["disk"].items():
        if free is None:
            level: Level = "error" if min_disk else "warning"
            text, remedy = f"there is no directory {place}", "make it, or name another"
            yield Finding(check="directory", level=level, text=text, remedy=remedy)
        else:
            yield _space(
                "disk",
                free,
                text=f"{sizes.spell(free)} free in {place}",
                remedy="free some, or use a larger volume",
                least=min_disk,
                enough=_ENOUGH_DISK,
            )
    limit, memlock = facts["memory_limit"], facts["memlock"]
    yield Finding(check="memory", text=f"limit {sizes.spell(limit)}" if limit else "no limit")
    if memlock is not None and memlock <= _SMALL_MEMLOCK:
        yield warning(
            "memlock",
            f"{sizes.spell(memlock)} may be locked",
            "transfers between nodes (UCX) may fail: docker run --ulimit memlock=-1",
        )
    if facts["wsl"]:
        yield warning(
            "wsl",
            "Linux under Windows: managed memory cannot exceed the GPU's",
            "do not count on --rmm-mode managed here",
        )
    for place in facts["unwritable"]:
        yield warning(
            "caches",
            f"cannot write to {place}",
            "what is compiled is compiled again in every run, or fails: set it, or HOME, "
            "to a directory that this user may write to",
        )


def _space(
    check: str,
    size: int,
    *,
    text: str,
    remedy: str,
    least: int | None,
    enough: int,
    too_small: str = "",
) -> Finding:
    """Judge a size: an error below ``least`` bytes, a warning below ``enough``."""
    if least is not None and size < least:
        asked = f"{text}, {sizes.spell(least)} are asked for"
        return Finding(check=check, level="error", text=asked, remedy=remedy)
    if size < enough:
        return warning(check, f"{text}{too_small}", remedy)
    return Finding(check=check, text=text)


def _unwritable_caches(variables: Mapping[str, str]) -> Iterator[str]:
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
    """Return whether files can be made in ``place``, or ``place`` can be made."""
    # Path.exists raises for what this user may not look into, and for names that are too long.
    while not os.path.exists(place) and place != place.parent:  # noqa: PTH110
        place = place.parent
    return os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK)  # noqa: PTH112
