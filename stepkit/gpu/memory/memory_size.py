"""Read sizes of memory as people write them: bytes, or a share of the free memory."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, overload

from stepkit.errors import ConfigurationError
from stepkit.formats import sizes
from stepkit.system import cgroup

# RMM counts in units of 256 bytes, and no machine has 256 TiB for a notebook.
SMALLEST: Final = 256
LARGEST: Final = 1 << 48

_MEMINFO: Final = Path("/proc/meminfo")
_FORMS: Final = {
    True: "4GiB, 500MB, a number of bytes, or 0.5 for half of the memory",
    False: sizes.FORMS,
}


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
    refused without ``shares``. Raises :class:`ConfigurationError` that begins with ``name``.
    """
    found = sizes.SPELLING.fullmatch(text.strip())
    unit = found[3] if found else ""
    if shares and found and (unit == "%" or (found[2] and not unit)):
        share = float(found[1] + (found[2] or "")) / (100 if unit else 1)
        if not 0 < share <= 1:
            raise ConfigurationError(
                f"{name} {text!r} is not a share of the memory: write a number above 0 and up to "
                "1.0 (or 100%), or bytes with a unit such as 1.5GiB"
            )
        return share
    return sizes.parse(text, name=name, least=least, largest=LARGEST, forms=_FORMS[shares])


def free_on_host() -> int:
    """Return the bytes that this machine and this container both still have."""
    lines = _MEMINFO.read_text().splitlines()
    words = [line.split() for line in lines if line.startswith("MemAvailable:")]  # proc(5): in KiB
    machine = min((int(word[1]) * 1024 for word in words), default=LARGEST)
    container = cgroup.memory_free()
    return machine if container is None else min(machine, container)
