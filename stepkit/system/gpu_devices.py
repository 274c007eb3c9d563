"""Which processes have a GPU open; NVML names them by numbers that a container does not know."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_DEVICES: Final = ("/dev/nvidia", "/dev/dxg")  # the driver's, and its own in WSL


def are_open_in(pids: Iterable[int]) -> bool:
    """Return whether one of the processes has a GPU open: who holds its memory does."""
    return any(_opens_a_device(pid) for pid in pids)


def _opens_a_device(pid: int) -> bool:
    directory = f"/proc/{pid}/fd"
    with suppress(OSError):  # it has ended
        for number in os.listdir(directory):  # noqa: PTH208 - names are all that is needed
            with suppress(OSError):
                if os.readlink(f"{directory}/{number}").startswith(_DEVICES):  # noqa: PTH115
                    return True
    return False
