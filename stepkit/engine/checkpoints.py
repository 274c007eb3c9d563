"""Save a notebook while it runs: each cell encoded once per change, the file moved into place.

A thread does it, so that the kernel never waits for the disk. Finished cells are appended to a
draft of the next version; a checkpoint adds what is unfinished and publishes the draft. The cost
over a whole run is linear in its bytes: copying older cells into the next draft is bounded by the
share of time that checkpoints may take.
"""

from __future__ import annotations

import logging
import math
import shutil
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from stepkit.engine import notebook_json
from stepkit.engine.output_file import Draft
from stepkit.errors import ToolError
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

logger = logging.getLogger(__name__)

_ROOM_FOR_THE_REST: Final = 65536  # bytes: cells without outputs, metadata, file system
SHARE: Final = 0.05  # of the time that checkpoints may take


class Checkpoints:
    """The saved states of ``notebook`` at ``target``, at least ``interval`` seconds apart.

    With an ``interval`` of 0 only the first and the last are saved. ``lock`` must be held by
    whoever changes the notebook; ``settle`` is called, with the lock held, before a running cell
    is encoded.
    """

    def __init__(
        self, notebook: Any, target: Path, *, interval: float, settle: Callable[[], None]
    ) -> None:
        self.lock = threading.RLock()
        self._notebook = notebook
        self._target = target
        self._interval = interval or math.inf
        self._settle = settle
        self._draft: Draft | None = None
        self._published: Draft | None = None
        self._places: dict[int, tuple[int, int]] = {}  # id of a cell: offset and length in the file
        self._waiting: dict[int, bytes] = {}  # id of a cell that has not run: its JSON
        self._finished: deque[Any] = deque()  # cells that are not in the draft yet
        self._done: set[int] = set()  # ids of all cells that finished
        self._stale: set[int] = set()  # ids of cells that changed since they were encoded
        self._saved: dict[int, int] = {}  # id of a cell: size of its JSON in the last checkpoint
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

        Raises :class:`~stepkit.errors.StepError`. On a full disk the outputs that find room are
        saved all the same, unless the last checkpoint, which then stays, has more of a cell.
        """
        self.pause()
        try:
            with atomic_files.explaining(f"cannot write {self._target}"):
                self._save_or_start_over()
        except ToolError:
            self._forget()
            with suppress(OSError):
                self._save_what_fits()
            raise
        finally:
            self._forget()

    def _save_or_start_over(self) -> None:
        try:
            self._save()
        except OSError:  # the draft may be what is broken: its directory was removed, say
            self._forget()
            self._save()

    def _save_what_fits(self) -> None:
        room = shutil.disk_usage(self._target.parent).free - _ROOM_FOR_THE_REST
        draft = Draft(self._target)
        try:
            draft.write(notebook_json.HEAD)
            for number, node in enumerate(self._notebook.cells):
                data = notebook_json.cell(node)
                if draft.size + len(data) > room:
                    data = notebook_json.cell(_without_outputs(node))
                    if len(data) < self._saved.get(id(node), 0):
                        return  # the last checkpoint shows more of this cell
                draft.write((notebook_json.BETWEEN if number else notebook_json.FIRST) + data)
            draft.write(notebook_json.tail(self._notebook))
            draft.publish()
        finally:
            draft.close()

    def _work(self) -> None:
        wait = self._interval
        due = time.monotonic() + wait
        while not self._stop.is_set():
            self._wake.wait(min(max(due - time.monotonic(), 0), threading.TIMEOUT_MAX))
            self._wake.clear()
            try:
                self._append_finished()
                if time.monotonic() >= due and not self._stop.is_set():
                    wait = max(self._interval, self._timed_save() / SHARE)
                    due = time.monotonic() + wait
            except OSError as error:
                logger.warning("cannot save %s: %s; trying again", self._target, error.strerror)
                self._forget()
                due = time.monotonic() + wait

    def _timed_save(self) -> float:
        started = time.monotonic()
        self._save()
        return time.monotonic() - started

    def _append_finished(self) -> None:
        """Encode the cells that finished since, while the next one runs."""
        while self._finished:
            with self.lock:
                node = self._finished.popleft()
                self._stale.discard(id(node))
                data = notebook_json.cell(node)
            self._append(self._continued(), node, data)

    def _append(self, draft: Draft, node: Any, data: bytes) -> None:
        draft.write(notebook_json.BETWEEN if self._places else notebook_json.FIRST)
        self._places[id(node)] = (draft.size, len(data))
        draft.write(data)

    def _continued(self) -> Draft:
        """Return the draft of the next version, with the finished cells of the last one in it."""
        if self._draft is None:
            self._draft = Draft(self._target)
            if self._published is None or not self._places:
                self._places = {}
                self._draft.write(notebook_json.HEAD)
            else:
                self._draft.copy(self._published, 0, _end(self._places))
        return self._draft

    def _save(self) -> None:
        """Publish all finished cells, the others as they are now, and the metadata."""
        self._append_finished()
        with self.lock:
            self._settle()
            for changed in self._stale:  # places are this thread's alone
                self._places.pop(changed, None)
            self._stale.clear()
            # Drafts are written unlocked: cells that finish meanwhile are not in these states.
            finished = self._done.difference(map(id, self._finished))
            nodes = list(self._notebook.cells)
            encoded = {
                id(node): self._waiting.get(id(node)) or notebook_json.cell(node)
                for node in nodes
                if id(node) not in self._places
            }
            tail = notebook_json.tail(self._notebook)
        draft = self._continued()
        if self._in_order(nodes, draft):
            self._add_rest(draft, nodes[len(self._places) :], encoded, first=not self._places)
        else:
            draft = self._rewritten(nodes, encoded, finished)
        draft.write(tail)
        draft.publish()
        self._saved = {key: len(data) for key, data in encoded.items()}
        self._saved |= {key: length for key, (_, length) in self._places.items()}
        self._draft = None
        self._replace_published(draft)

    def _in_order(self, nodes: Sequence[Any], draft: Draft) -> bool:
        """Tell whether the draft holds the first cells of the notebook and nothing else."""
        known = [id(node) for node in nodes[: len(self._places)]]
        return known == list(self._places) and draft.size == _end(self._places)

    def _add_rest(
        self, draft: Draft, nodes: Sequence[Any], encoded: Mapping[int, bytes], *, first: bool
    ) -> None:
        for node in nodes:
            draft.write(notebook_json.FIRST if first else notebook_json.BETWEEN)
            draft.write(encoded[id(node)])
            first = False

    def _rewritten(
        self, nodes: Sequence[Any], encoded: Mapping[int, bytes], finished: AbstractSet[int]
    ) -> Draft:
        """Return a draft of all cells in their present order; finished ones are copied."""
        old, places = self._continued(), self._places
        new = Draft(self._target)
        new.write(notebook_json.HEAD)
        self._draft, self._places = new, {}
        try:
            self._copy_all(nodes, encoded, finished, old, places)
        finally:
            old.close()
        return new

    def _copy_all(
        self,
        nodes: Sequence[Any],
        encoded: Mapping[int, bytes],
        finished: AbstractSet[int],
        old: Draft,
        places: Mapping[int, tuple[int, int]],
    ) -> None:
        new = self._continued()
        prefix = True  # only an unbroken row of finished cells can be continued
        for number, node in enumerate(nodes):
            new.write(notebook_json.BETWEEN if number else notebook_json.FIRST)
            start = new.size
            if id(node) in places:
                new.copy(old, *places[id(node)])
            else:
                new.write(encoded[id(node)])
            prefix = prefix and id(node) in finished
            if prefix:
                self._places[id(node)] = (start, new.size - start)

    def _replace_published(self, draft: Draft | None) -> None:
        if self._published:
            self._published.close()
        self._published = draft

    def _forget(self) -> None:
        """Start from nothing the next time: what a draft holds after an error is not known."""
        if self._draft:
            self._draft.close()
        self._draft, self._places = None, {}
        self._replace_published(None)


def _without_outputs(node: Any) -> dict[str, Any]:
    note = "[stepkit: these outputs were not saved: there is no space left on the disk]\n"
    if not node.get("outputs"):
        return dict(node)
    return {**node, "outputs": [{"name": "stderr", "output_type": "stream", "text": note}]}


def _end(places: Mapping[int, tuple[int, int]]) -> int:
    if not places:
        return len(notebook_json.HEAD)
    offset, length = list(places.values())[-1]
    return offset + length
