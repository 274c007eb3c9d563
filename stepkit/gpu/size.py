"""Sizes of memory as people write them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, Literal, overload

from stepkit.errors import ConfigurationError
from stepkit.tools import cgroup

GIB: Final = 1 << 30

# RMM counts in units of 256 bytes, and no machine has 256 TiB for a notebook.
SMALLEST: Final = 256
LARGEST: Final = 1 << 48

_MEMINFO: Final = Path("/proc/meminfo")
_UNITS: Final = {
    "": 1,
    "b": 1,
    **{f"{prefix}{end}": 1000**n for n, prefix in enumerate("kmgtp", 1) for end in ("b", "")},
    **{f"{prefix}i{end}": 1024**n for n, prefix in enumerate("kmgtp", 1) for end in ("b", "")},
}
_FORMS: Final = {
    True: "4GiB, 500MB, a number of bytes, or 0.5 for half of the memory that is free",
    False: "4GiB, 500MB or a number of bytes",
}
_SIZE: Final = re.compile(r"([0-9]{1,20})(\.[0-9]{1,20})?\s*([a-z]*|%)", re.IGNORECASE | re.ASCII)


@overload
def parse(text: str, *, name: str = ..., least: int = ..., shares: Literal[False]) -> int: ...
@overload
def parse(text: str, *, name: str = ..., least: int = ...) -> int | float: ...
def parse(
    text: str, *, name: str = "size", least: int = SMALLEST, shares: bool = True
) -> int | float:
    """Return bytes as an ``int``, or a share of the free memory as a ``float`` in (0, 1].

    Bytes are ``1073741824``, ``4GiB``, ``4Gi`` (1024-based) or ``500MB``, ``500M`` (1000-based),
    as RMM and Kubernetes write them, and at least ``least``. Shares are ``0.5`` and ``50%``, and
    no sizes without ``shares``. Raises :class:`ConfigurationError` that begins with ``name``.
    """
    found = _SIZE.fullmatch(text.strip())
    unit = found[3].lower() if found else ""
    share = found is not None and (unit == "%" or bool(found[2] and not unit))
    if not found or unit not in {*_UNITS, "%"} or (share and not shares):
        raise ConfigurationError(f"{name} {text!r} is no size: write {_FORMS[shares]}")
    number = float(found[1] + (found[2] or ""))
    if share:
        return _share(number / 100 if unit else number, text, name)
    size = int(number * _UNITS[unit]) if found[2] else int(found[1]) * _UNITS[unit]
    if not least <= size <= LARGEST:
        hint = f": did you mean {text.strip()}GiB?" if 0 < size < SMALLEST and not unit else ""
        raise ConfigurationError(f"{name} {text!r} is {size} bytes, too {_extreme(size)}{hint}")
    return size


def spell(size: int) -> str:
    """Spell bytes for people: ``4.0 GiB``, ``512.0 MiB``, ``300 bytes``."""
    if size >= GIB:
        return f"{size / GIB:.1f} GiB"
    return f"{size / (1 << 20):.1f} MiB" if size >= 1 << 20 else f"{size} bytes"


def free_on_host() -> int:
    """Return the bytes that this machine and this container both still have."""
    lines = _MEMINFO.read_text().splitlines()
    words = [line.split() for line in lines if line.startswith("MemAvailable:")]  # proc(5): in KiB
    machine = min((int(word[1]) * 1024 for word in words), default=LARGEST)
    container = cgroup.memory_free()
    return machine if container is None else min(machine, container)


def _share(share: float, text: str, name: str) -> float:
    if not 0 < share <= 1:
        raise ConfigurationError(
            f"{name} {text!r} is no share of the free memory: write a number above 0 and up to "
            "1.0 (or 100%), or bytes with a unit such as 1.5GiB"
        )
    return share


def _extreme(size: int) -> str:
    return "large" if size > LARGEST else "small"
