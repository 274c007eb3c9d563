"""Execute cells through nbclient, with every output in its place and none copied twice."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AbstractContextManager, contextmanager, suppress
from queue import Empty
from typing import TYPE_CHECKING, Any, Final

import zmq
import zmq.asyncio
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete

from stepkit.engine.lost_messages import ReceivedMessages
from stepkit.engine.stream_text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from stepkit.engine.cell_log import CellLog
    from stepkit.engine.kernel_process import Kernel
    from stepkit.engine.output_limit import OutputLimit

logger = logging.getLogger(__name__)

# Seconds that outputs may take to arrive after the kernel's reply. nbclient's own 4 s is a total
# and fails on one large output.
OUTPUT_SECONDS: Final = 120

_ASK_SECONDS: Final = 0.25  # between two requests to a kernel that is starting
_QUIET_SECONDS: Final = 0.05
_QUIET_TIMES: Final = 3  # in a row without a message: a dead kernel's last outputs have arrived
_ANSWER_SECONDS: Final = 5.0  # for a kernel whose interpreter is free


class Client(NotebookClient):
    """Executes cells in ``kernel``.

    ``lock`` is held while a notebook changes. ``changed`` is called with a cell that changes after
    its end.
    """

    def __init__(
        self,
        nb: Any,
        kernel: Kernel,
        *,
        lock: AbstractContextManager[Any],
        cell_log: CellLog,
        limits: Mapping[int, OutputLimit],
        changed: Callable[[Any], None],
        **hooks: Any,
    ) -> None:
        super().__init__(
            nb,
            km=kernel.km,
            kernel_name=kernel.name,
            iopub_timeout=OUTPUT_SECONDS,
            raise_on_iopub_timeout=True,
            **hooks,
        )
        self.received = ReceivedMessages(kernel.pid)
        self.last_message = time.monotonic()
        self._kernel = kernel
        self._lock = lock
        self._cell_log = cell_log
        self._limits = limits  # by cell; a cell that is missing has no limit
        self._changed = changed
        self._cells: dict[str, int] = {}  # execute request: index of its cell
        self._streams: dict[int, tuple[Any, Text]] = {}  # outputs that still grow, by cell
        self._clears: set[int] = set()  # ended cells that the next late output clears
        self._unanswered = 0  # requests on the control channel

    @contextmanager
    def channels(self) -> Iterator[None]:
        """Open the channels to the kernel for the block."""
        with zmq.asyncio.Context() as context:
            context.setsockopt(zmq.RCVHWM, 0)  # a queue that is full drops messages
            self.kc = self._kernel.km.client(context=context)
            self.kc.start_channels(stdin=False, hb=False)
            self.kc.allow_stdin = False
            try:
                yield
            finally:
                self.kc.stop_channels()

    async def connect(self, seconds: float) -> None:
        """Wait until the kernel answers and its outputs arrive.

        Raises :class:`TimeoutError`, or :class:`RuntimeError` if it ended instead.
        """
        dead = asyncio.ensure_future(self._kernel.wait_for_end())
        ready = asyncio.ensure_future(self._ready())
        done, _ = await asyncio.wait(
            {dead, ready}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for task in (dead, ready):
            task.cancel()
        if ready in done:
            self.nb.metadata["language_info"] = ready.result()
        elif dead in done:
            raise RuntimeError(f"it exited with code {self._kernel.exit_code}")
        else:
            raise TimeoutError(f"no answer within {seconds:g} s")

    async def _ready(self) -> Any:
        """Ask until there is a reply, and a message on the channel of the outputs."""
        kc: Any = self.kc
        asked: set[str] = set()
        reply = None
        while True:
            asked.add(kc.kernel_info())
            end = time.monotonic() + _ASK_SECONDS
            while (left := end - time.monotonic()) > 0:
                with suppress(Empty):
                    reply = reply or await kc.get_shell_msg(timeout=left)
                    message = await kc.get_iopub_msg(timeout=left)
                    if message["parent_header"].get("msg_id") in asked:
                        return reply["content"].get("language_info", {})

    async def execute_in_place(self, cell: Any, index: int) -> None:
        """Execute one cell. Raises what nbclient raises."""
        try:
            await self.async_execute_cell(cell, index)
        finally:
            with self._lock:
                self.settle()
                self._streams.pop(index, None)
            if self.clear_before_next_output:
                self._clears.add(index)
            self._cell_log.cell_ended()
            self._end_limit(index)

    def give_up(self) -> None:
        """End the wait for the running cell: its execution raises DeadKernelError."""
        if self.task_poll_for_reply:
            self.task_poll_for_reply.cancel()

    def settle(self) -> None:
        """Bring the outputs that still grow up to date; the lock must be held."""
        for node, text in self._streams.values():
            node["text"] = text.value()

    async def answers(self) -> bool:
        """Return whether the kernel's interpreter is free to answer on its control channel."""
        assert self.kc is not None
        self.kc.control_channel.send(self.kc.session.msg("kernel_info_request"))
        self._unanswered += 1
        return await self.take_answers(_ANSWER_SECONDS)

    async def take_answers(self, seconds: float = _QUIET_SECONDS) -> bool:
        """Take the answers that are due, which would count as lost, and return whether all came."""
        assert self.kc is not None
        with suppress(Empty):
            while self._unanswered:
                reply = await self.kc.control_channel.get_msg(timeout=seconds)
                self._unanswered -= 1
                self.received.add(reply)
        return not self._unanswered

    async def _async_poll_kernel_alive(self) -> None:
        await self._kernel.wait_for_end()
        quiet = 0
        while quiet < _QUIET_TIMES:  # not a time: a message of 30 MB takes the loop for a second
            before = self.last_message
            await asyncio.sleep(_QUIET_SECONDS)
            quiet = quiet + 1 if self.last_message == before else 0
        self.give_up()

    async def _async_poll_output_msg(self, parent_msg_id: str, cell: Any, cell_index: int) -> None:
        assert self.kc is not None
        self._cells[parent_msg_id] = cell_index
        while True:
            try:
                message = await self.kc.iopub_channel.get_msg(timeout=None)
            except ValueError as error:  # a kernel that ends may tear what it still sends
                logger.warning("a message of the kernel arrived broken: %s", error)
                continue
            self.last_message = time.monotonic()
            parent = message["parent_header"].get("msg_id")
            if parent == parent_msg_id:
                self.received.begin(message)
            self.received.add(message)
            with self._lock:
                if parent == parent_msg_id:
                    try:
                        self._take(message, cell, cell_index)
                    except CellExecutionComplete:
                        return
                elif parent in self._cells:
                    self._take_late(message, self._cells[parent])

    def _take(self, message: Any, cell: Any, index: int) -> None:
        shown = message["content"].get("transient") or {}
        if message["msg_type"] == "update_display_data":
            message = self._limited(message, index, replaces=True)
        # One display may stand in several cells: an update changes all of them.
        for other in self._display_id_map.get(str(shown.get("display_id")), {}):
            if other != index:
                self._changed(self.nb.cells[other])
        self.process_message(message, cell, index)

    def _take_late(self, message: Any, index: int) -> None:
        """Put an output of an earlier cell's thread into that cell, as Jupyter does."""
        if message["msg_type"] in {"status", "execute_input"}:
            return
        waits, self.clear_before_next_output = self.clear_before_next_output, index in self._clears
        cell = self.nb.cells[index]
        self._take(message, cell, index)
        self._end_limit(index)
        self._clears.discard(index)
        if self.clear_before_next_output:
            self._clears.add(index)
        self.clear_before_next_output = waits
        self._changed(cell)

    def output(self, outs: Any, msg: Any, display_id: str | None, cell_index: int) -> Any:
        """Add an output to its cell; what a stream prints is joined to what it printed before."""
        content = msg["content"]
        hooked = bool(self.output_hook_stack.get(msg["parent_header"].get("msg_id")))
        if msg["msg_type"] != "stream" or hooked:
            self._close_stream(cell_index)
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
