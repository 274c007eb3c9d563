"""Save a notebook while it runs, in a thread, so that the kernel never waits for the disk.

Each state of a cell is encoded once. The cost over a whole run is linear in its bytes: copying
finished cells into the next version of the file is bounded by the share of time that saving takes.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from stepkit.engine import notebook_json
from stepkit.engine.notebook_file import NotebookFile
from stepkit.errors import ToolError
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

logger = logging.getLogger(__name__)

SHARE: Final = 0.05  # of the time that saving may take


class Checkpoints:
    """The saved states of ``notebook`` at ``target``, at least ``interval`` seconds apart.

    With an ``interval`` of 0 only the first and the last state are saved. Code that changes the
    notebook must hold ``lock``. ``flush`` is called, with the lock held, before a running cell is
    encoded.
    """

    def __init__(
        self, notebook: Any, target: Path, *, interval: float, flush: Callable[[], None]
    ) -> None:
        self.lock = threading.RLock()
        self._notebook = notebook
        self._target = target
        self._interval = interval or math.inf
        self._flush = flush
        self._file = NotebookFile(target)
        self._waiting: dict[int, bytes] = {}  # id of a cell that has not run: its JSON
        self._finished: deque[Any] = deque()  # cells that are not in the file yet
        self._done: set[int] = set()  # ids of all cells that finished
        self._stale: set[int] = set()  # ids of cells that changed since they were encoded
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="checkpoints", daemon=True)

    def begin(self) -> None:
        """Save the notebook as it is before its first cell, and go on in the background.

        Raises :class:`~stepkit.errors.StepError` when the target cannot be written.
        """
        self._waiting = {id(node): notebook_json.cell(node) for node in self._notebook.cells}
        with atomic_files.explaining(f"cannot write {self._target}"):
            self._save()
        self._thread.start()

    def cell_started(self, node: Any) -> None:
        """Note that a cell changes from now on."""
        self._waiting.pop(id(node), None)

    def cell_finished(self, node: Any) -> None:
        """Note that a cell has all its outputs."""
        with self.lock:
            self._waiting.pop(id(node), None)
            self._finished.append(node)
            self._done.add(id(node))
        self._wake.set()

    def cell_changed(self, node: Any) -> None:
        """Note that a cell was changed although it had finished, or never ran."""
        with self.lock:
            self._waiting.pop(id(node), None)
            self._stale.add(id(node))

    def pause(self) -> None:
        """Save nothing more in the background."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def finish(self) -> None:
        """Save the last state; cells may have been inserted.

        Raises :class:`~stepkit.errors.StepError`. On a full disk the outputs that fit are saved
        nevertheless, unless the last checkpoint, which then stays, has more of a cell.
        """
        self.pause()
        try:
            with atomic_files.explaining(f"cannot write {self._target}"):
                try:
                    self._save()
                except OSError:  # the staged file may be broken: its directory was removed, say
                    self._file.reset()
                    self._save()
        except ToolError:
            self._file.reset()
            with suppress(OSError):
                self._file.save_what_fits(self._notebook)
            raise
        finally:
            self._file.reset()

    def _work(self) -> None:
        wait = self._interval
        due = time.monotonic() + wait
        while not self._stop.is_set():
            self._wake.wait(min(max(due - time.monotonic(), 0), threading.TIMEOUT_MAX))
            self._wake.clear()
            try:
                self._append_finished()
                if time.monotonic() >= due and not self._stop.is_set():
                    started = time.monotonic()
                    self._save()
                    ended = time.monotonic()
                    wait = max(self._interval, (ended - started) / SHARE)
                    due = ended + wait
            except OSError as error:
                logger.warning("cannot save %s: %s; trying again", self._target, error.strerror)
                self._file.reset()
                due = time.monotonic() + wait

    def _append_finished(self) -> None:
        """Encode the cells that finished since the last call, while the next one runs."""
        while self._finished:
            with self.lock:
                node = self._finished.popleft()
                self._stale.discard(id(node))
                data = notebook_json.cell(node)
            self._file.append(node, data)

    def _save(self) -> None:
        """Save all finished cells, the others as they are now, and the metadata."""
        self._append_finished()
        with self.lock:
            self._flush()
            self._file.discard(self._stale)
            self._stale.clear()
            # The file is written without the lock: cells that finish meanwhile are not in it.
            finished = self._done.difference(map(id, self._finished))
            nodes = list(self._notebook.cells)
            encoded = {
                id(node): self._waiting.get(id(node)) or notebook_json.cell(node)
                for node in nodes
                if id(node) not in self._file.finished
            }
            tail = notebook_json.tail(self._notebook)
        self._file.save(nodes, encoded, finished, tail)
