"""Put every output in its place in its cell, and join what a stream prints in linear time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from nbclient import NotebookClient

from stepkit.engine import repair_message
from stepkit.engine.carriage_returns import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stepkit.engine.cell_log import CellLog
    from stepkit.engine.output_limit import OutputLimit

logger = logging.getLogger(__name__)


class CellOutputs(NotebookClient):
    """A client that handles outputs as Jupyter does, and copies each of them once.

    ``errors`` has the first error that a cell showed, by index, also if the cell cleared it.
    ``limits`` has the limit of each cell, by index; a cell that is missing has no limit.
    ``changed`` is called with a cell that changes after its end.
    """

    def __init__(
        self,
        nb: Any,
        *,
        cell_log: CellLog,
        limits: Mapping[int, OutputLimit],
        changed: Callable[[Any], None],
        **options: Any,
    ) -> None:
        super().__init__(nb, **options)
        self.errors: dict[int, Any] = {}
        self._cell_log = cell_log
        self._limits = limits
        self._changed = changed
        self._streams: dict[int, tuple[Any, Text]] = {}  # outputs that still grow, by cell
        self._clears: set[int] = set()  # ended cells that the next late output clears
        self._displays: dict[str, set[int]] = {}  # cells in which each display was shown

    def flush(self) -> None:
        """Bring the outputs that still grow up to date; the lock must be held."""
        for node, text in self._streams.values():
            node["text"] = text.value()

    def end_cell(self, index: int) -> None:
        """Complete the outputs of a cell whose execution has ended; the lock must be held."""
        self.flush()
        self._streams.pop(index, None)
        if self.clear_before_next_output:
            self._clears.add(index)
        self._cell_log.cell_ended()
        self._end_limit(index)

    def take(self, message: Any, cell: Any, index: int) -> None:
        """Put what a message shows into the cell that runs; the lock must be held.

        A message that breaks Jupyter's protocol, as any library in the kernel may send it, is
        repaired and logged.
        """
        kind = message["msg_type"]
        content, faults = repair_message.repair(kind, message["content"])
        if faults:
            named = ", ".join(faults)
            logger.warning("the kernel sent a message %s without a valid %s", kind, named)
        message = {**message, "content": content}
        shown = content.get("transient") or {}
        if kind == "update_display_data":
            message = self._limited(message, index, replaces=True)
        # One display may stand in several cells: an update changes all of them.
        for other in self._displays.get(str(shown.get("display_id")), set()) - {index}:
            self._changed(self.nb.cells[other])
        self.process_message(message, cell, index)

    def take_late(self, message: Any, index: int) -> None:
        """Put an output of an earlier cell's thread into that cell, as Jupyter does."""
        if message["msg_type"] in {"status", "execute_input"}:
            return
        waits, self.clear_before_next_output = self.clear_before_next_output, index in self._clears
        cell = self.nb.cells[index]
        self.take(message, cell, index)
        self._end_limit(index)
        self._clears.discard(index)
        if self.clear_before_next_output:
            self._clears.add(index)
        self.clear_before_next_output = waits
        self._changed(cell)

    def output(self, outs: Any, msg: Any, display_id: str | None, cell_index: int) -> Any:
        """Add an output to its cell; what a stream prints is joined to what it printed before."""
        content = msg["content"]
        if display_id:
            self._displays.setdefault(display_id, set()).add(cell_index)
        hooked = bool(self.output_hook_stack.get(msg["parent_header"].get("msg_id")))
        if msg["msg_type"] != "stream" or hooked:
            self._close_stream(cell_index)
            if not hooked and msg["msg_type"] == "error":
                self.errors.setdefault(cell_index, content)
            if not hooked and "data" in content:
                self._cell_log.output(content["data"])
                msg = self._limited(msg, cell_index)
            return super().output(outs, msg, display_id, cell_index)
        name, text = content["name"], content["text"]
        self._cell_log.stream(name, text)
        if limit := self._limits.get(cell_index):
            text = limit.cut(text)
        if not text:
            return None
        if cell_index in self._streams and not self.clear_before_next_output:
            grown, grows = self._streams[cell_index]
            if outs and outs[-1] is grown and grown["name"] == name:
                grows.feed(text)
                return grown
        self._close_stream(cell_index)
        empty = {**msg, "content": {**content, "text": ""}}
        node: Any = super().output(outs, empty, None, cell_index)
        grows = Text()
        grows.feed(text)
        self._streams[cell_index] = (node, grows)
        return node

    def clear_output(self, outs: Any, msg: Any, cell_index: int) -> None:
        """Clear a cell's outputs, also the one that still grows."""
        self._close_stream(cell_index)
        super().clear_output(outs, msg, cell_index)

    def _end_limit(self, index: int) -> None:
        if index in self._limits:
            self._limits[index].end()

    def _close_stream(self, index: int) -> None:
        if index in self._streams:
            node, text = self._streams.pop(index)
            node["text"] = text.value()

    def _limited(self, msg: Any, index: int, *, replaces: bool = False) -> Any:
        """Return the message, or one with a note in place of an output beyond the cell's limit."""
        limit = self._limits.get(index)
        if not limit or msg["msg_type"] == "error":
            return msg
        note = limit.note_if_beyond(msg["content"]["data"], replaces=replaces)
        if not note:
            return msg
        content = {"data": {"text/plain": note.strip()}, "metadata": {}}
        return {**msg, "content": {**msg["content"], **content}}
