"""Whether a run that is watched goes on: its process, or how old the last state is."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from stepkit.formats.durations import elapsed
from stepkit.system import process_identity

if TYPE_CHECKING:
    from stepkit.notebook.progress_json import ProgressJson

_LATE_SECONDS: Final = 10.0  # a state is written every second
_GONE_SECONDS: Final = 60.0  # without a new state, of a run on another machine
_LOOK_SECONDS: Final = 5.0  # to look at a file that is old at once: its clock may be another one


class Liveness:
    """What is known of the process that writes the states, of which the last was ``saw``."""

    def __init__(self) -> None:
        self._last: ProgressJson | None = None
        self._changed_at = time.monotonic()

    def saw(self, now: ProgressJson) -> None:
        """Note the state that was read now."""
        if self._last is None or now["written"] != self._last["written"]:
            self._changed_at = time.monotonic()
        self._last = now

    def is_gone(self) -> bool:
        """Return whether the process has ended; on another machine, whether it is silent."""
        if self._last is None:
            return False
        gone = process_identity.is_gone(self._last["process"])
        if gone is not None:
            return gone
        silent = time.monotonic() - self._changed_at
        return silent >= _GONE_SECONDS or (silent >= _LOOK_SECONDS and self._age() >= _GONE_SECONDS)

    def note(self) -> str:
        """Say that the last state is old, or that the process is gone; ``""`` if all is well."""
        if self._last is None:
            return ""
        silent = time.monotonic() - self._changed_at
        age = elapsed(max(self._age(), silent), tenths=False)
        process = self._last["process"]
        if process_identity.is_gone(process):
            return f"its process {process['pid']} is gone, and wrote last {age} ago"
        if max(self._age(), silent) < _LATE_SECONDS:
            return ""
        return f"process {process['pid']} on {process['host']} wrote last {age} ago"

    def _age(self) -> float:
        """Return how old the last state is by this machine's clock, in seconds."""
        assert self._last
        try:
            written = datetime.fromisoformat(self._last["written"])
            return (datetime.now(UTC) - written).total_seconds()
        except (ValueError, TypeError):
            return 0.0
