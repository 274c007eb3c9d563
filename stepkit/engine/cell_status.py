"""The status line of a notebook that runs: which cell, for how long, how much GPU memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from stepkit.formats import durations
from stepkit.formats.sizes import GIB
from stepkit.system import nvml

if TYPE_CHECKING:
    from stepkit.engine.cell_events import RunState

_GPU_SECONDS: Final = 2.0  # between two questions to the driver


class CellStatus:
    """Says what a run does now, from any thread; nothing if it is ``hidden`` by a bar."""

    def __init__(self, state: RunState, *, hidden: bool) -> None:
        self._state = state
        self._hidden = hidden
        self._asked = -_GPU_SECONDS
        self._gpu = ""

    def text(self) -> str:
        """Return the line, ``""`` while no cell runs."""
        index, began = self._state.running, self._state.clock
        if index is None or self._hidden:
            return ""
        since = durations.elapsed(time.monotonic() - began, tenths=False)
        return f"{self._state.place(index)}: running {since}{self._gpu_memory()}"

    def _gpu_memory(self) -> str:
        if time.monotonic() - self._asked >= _GPU_SECONDS:
            self._asked = time.monotonic()
            memory = nvml.read_memory()
            self._gpu = (
                f", GPU {memory[0] / GIB:.1f} of {memory[1] / GIB:.0f} GiB" if memory else ""
            )
        return self._gpu
