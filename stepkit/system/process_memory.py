"""Keep secrets out of what others can read of this process: its first variables, a core dump."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Container

_SELF: Final = Path("/proc/self")
_ENV_START: Final = 47  # proc(5): field 50 of stat, counted from the one behind the program's name


def erase_variables(names: Container[str]) -> None:
    """Overwrite the values of variables that this process was started with.

    ``/proc/PID/environ`` shows them to every process of the same user for as long as this one runs,
    even after they were taken out of :data:`os.environ`. Where /proc cannot be written, they stay.
    """
    with suppress(OSError):
        start = int((_SELF / "stat").read_bytes().rpartition(b")")[2].split()[_ENV_START])
        with (_SELF / "mem").open("r+b", buffering=0) as memory:
            for entry in (_SELF / "environ").read_bytes().split(b"\0"):
                name, separator, value = entry.partition(b"=")
                if separator and name.decode(errors="replace") in names:
                    memory.seek(start + len(name) + 1)
                    memory.write(bytes(len(value)))
                start += len(entry) + 1


def write_no_core_dump() -> None:
    """Have no core dump written of this process and of those that it starts.

    A child that wants one can raise its limit again.
    """
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    # The kernel ignores a limit of 0 where core_pattern names a program, but not one of 1.
    resource.setrlimit(resource.RLIMIT_CORE, (1 if most else 0, most))
