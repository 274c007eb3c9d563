"""Name a process so that another one can tell later whether it still runs.

A number alone is not enough: other machines and containers have the same ones, and they are used
again.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TypedDict


class ProcessJson(TypedDict):
    """A process: ``boot`` and ``namespace`` are of its machine and container, ``ticks`` its start.

    What the machine does not say is an empty text, and 0 for ``ticks``.
    """

    pid: int
    host: str
    boot: str
    namespace: str
    ticks: int


def own() -> ProcessJson:
    """Return the identity of this process."""
    boot, namespace = _machine()
    found = _state_and_start(os.getpid())
    return ProcessJson(
        pid=os.getpid(),
        host=platform.node(),
        boot=boot,
        namespace=namespace,
        ticks=found[1] if found else 0,
    )


def is_gone(process: ProcessJson) -> bool | None:
    """Return whether a process has ended; None where its number means nothing here."""
    boot, namespace = _machine()
    if not boot or not namespace or (process["boot"], process["namespace"]) != (boot, namespace):
        return None
    found = _state_and_start(process["pid"])
    return found is None or found[0] == "Z" or found[1] != process["ticks"]


def _machine() -> tuple[str, str]:
    """Return what distinguishes this start of the machine, and this container's processes."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return boot, str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return "", ""


def _state_and_start(pid: int) -> tuple[str, int] | None:
    """Return the state of a process and when it began, in the kernel's clock; None without one."""
    try:
        content = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    parts = content.rpartition(")")[2].split()  # the name before may hold anything
    return parts[0], int(parts[19])  # fields 3 and 22 of proc_pid_stat(5)
