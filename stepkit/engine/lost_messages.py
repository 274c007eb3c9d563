"""Count the kernel's messages that never arrived."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# ipykernel numbers all messages of a process: session, process, number (jupyter_client.session).
_NUMBERED: Final = re.compile(r".+_(\d+)_(\d+)\Z")


class ReceivedMessages:
    """The messages that arrived from one kernel process, on all channels together.

    Only ipykernel numbers its messages: those of other kernels, and of forked children, are not
    counted.
    """

    def __init__(self, pid: int) -> None:
        self._pid = str(pid)
        self._first: int | None = None
        self._last = 0
        self._count = 0

    def begin(self, message: Mapping[str, Any]) -> None:
        """Count from this message of the first cell on; later calls change nothing."""
        if self._first is None:
            self._first = self._number(message)

    def add(self, message: Mapping[str, Any]) -> None:
        """Note a message that arrived."""
        number = self._number(message)
        if self._first is not None and number is not None and number >= self._first:
            self._count += 1
            self._last = max(self._last, number)

    @property
    def lost(self) -> int:
        """How many messages between the first and the last never arrived."""
        if self._first is None:
            return 0
        return max(self._last - self._first + 1 - self._count, 0)

    def _number(self, message: Mapping[str, Any]) -> int | None:
        numbered = _NUMBERED.match(message["header"].get("msg_id", ""))
        return int(numbered[2]) if numbered and numbered[1] == self._pid else None
