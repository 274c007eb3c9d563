"""The file of a notebook that runs, which is saved often without writing all cells each time.

Finished cells are appended to the next version of the file. Saving completes that version with the
unfinished cells and publishes it; the version after it starts with a copy of the finished ones.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, Final

from stepkit.engine import notebook_json
from stepkit.engine.staged_file import StagedFile

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

_RESERVE: Final = 65536  # bytes: cells without outputs, metadata, file system
_NOT_SAVED: Final = "[stepkit: these outputs were not saved: there is no space left on the disk]\n"


class NotebookFile:
    """The file at ``target``. Cells are known by the :func:`id` of their nodes.

    Methods that write raise :class:`OSError`; :meth:`reset` must then be called.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._next: StagedFile | None = None
        self._published: StagedFile | None = None
        self._places: dict[int, tuple[int, int]] = {}  # offset and length of each finished cell
        self._sizes: dict[int, int] = {}  # of all cells in the version that was published last

    @property
    def finished(self) -> Collection[int]:
        """The finished cells that the next version holds."""
        return self._places.keys()

    def discard(self, cells: Iterable[int]) -> None:
        """Write these cells anew, although they had finished, because they changed."""
        for cell in cells:
            self._places.pop(cell, None)

    def append(self, node: Any, data: bytes) -> None:
        """Add the JSON of a finished cell to the next version."""
        file = self._opened()
        file.write(notebook_json.BETWEEN if self._places else notebook_json.FIRST)
        self._places[id(node)] = (file.size, len(data))
        file.write(data)

    def save(
        self,
        nodes: Sequence[Any],
        encoded: Mapping[int, bytes],
        finished: AbstractSet[int],
        tail: bytes,
    ) -> None:
        """Publish the notebook whose cells are ``nodes``, in this order.

        ``encoded`` is the JSON of all cells but those in :attr:`finished`, ``finished`` says which
        cells will not change any more, and ``tail`` is what follows the last cell.
        """
        file = self._opened()
        done = len(self._places)
        in_order = [id(node) for node in nodes[:done]] == list(self._places)
        if in_order and file.size == self._end():
            for number, node in enumerate(nodes[done:], done):
                file.write(notebook_json.BETWEEN if number else notebook_json.FIRST)
                file.write(encoded[id(node)])
        else:
            file = self._rewritten(nodes, encoded, finished)
        file.write(tail)
        file.publish()
        self._sizes = {cell: len(data) for cell, data in encoded.items()}
        self._sizes |= {cell: length for cell, (_, length) in self._places.items()}
        self._next = None
        self._replace_published(file)

    def save_what_fits(self, notebook: Any) -> None:
        """Publish the notebook without the outputs for which the disk has no space.

        The version that was published last stays if it has more of any of these cells.
        """
        space = shutil.disk_usage(self._target.parent).free - _RESERVE
        file = StagedFile(self._target)
        try:
            file.write(notebook_json.HEAD)
            for number, node in enumerate(notebook.cells):
                data = notebook_json.cell(node)
                if file.size + len(data) > space:
                    note = {"name": "stderr", "output_type": "stream", "text": _NOT_SAVED}
                    data = notebook_json.cell(
                        {**node, "outputs": [note]} if node.get("outputs") else node
                    )
                    if len(data) < self._sizes.get(id(node), 0):
                        return
                file.write((notebook_json.BETWEEN if number else notebook_json.FIRST) + data)
            file.write(notebook_json.tail(notebook))
            file.publish()
        finally:
            file.close()

    def reset(self) -> None:
        """Write all cells anew the next time: what a file holds after an error is not known."""
        if self._next:
            self._next.close()
        self._next, self._places = None, {}
        self._replace_published(None)

    def _opened(self) -> StagedFile:
        """Return the next version, which starts with the finished cells of the last one."""
        if self._next is None:
            self._next = StagedFile(self._target)
            if self._published is None or not self._places:
                self._places = {}
                self._next.write(notebook_json.HEAD)
            else:
                self._next.copy(self._published, 0, self._end())
        return self._next

    def _end(self) -> int:
        """Return the offset at which the last finished cell ends."""
        offset, length = next(reversed(self._places.values()), (0, len(notebook_json.HEAD)))
        return offset + length

    def _rewritten(
        self, nodes: Sequence[Any], encoded: Mapping[int, bytes], finished: AbstractSet[int]
    ) -> StagedFile:
        """Return a next version with all cells in their present order; finished ones are copied."""
        old, places = self._opened(), self._places
        new = StagedFile(self._target)
        new.write(notebook_json.HEAD)
        self._next, self._places = new, {}
        continues = True  # cells can be appended only after an unbroken row of finished ones
        try:
            for number, node in enumerate(nodes):
                new.write(notebook_json.BETWEEN if number else notebook_json.FIRST)
                start = new.size
                if id(node) in places:
                    new.copy(old, *places[id(node)])
                else:
                    new.write(encoded[id(node)])
                continues = continues and id(node) in finished
                if continues:
                    self._places[id(node)] = (start, new.size - start)
        finally:
            old.close()
        return new

    def _replace_published(self, file: StagedFile | None) -> None:
        if self._published:
            self._published.close()
        self._published = file
