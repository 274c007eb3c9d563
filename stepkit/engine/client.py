"""Connect to a kernel, execute cells through nbclient, and receive the kernel's messages."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AbstractContextManager, contextmanager, suppress
from queue import Empty
from typing import TYPE_CHECKING, Any, Final

import zmq
import zmq.asyncio
from nbclient.exceptions import CellExecutionComplete

from stepkit.engine.cell_outputs import CellOutputs
from stepkit.engine.lost_messages import ReceivedMessages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.engine.kernel_process import Kernel

logger = logging.getLogger(__name__)

# Seconds that outputs may take to arrive after the kernel's reply. nbclient's own 4 s is a total
# and fails on one large output.
OUTPUT_SECONDS: Final = 120

_ASK_SECONDS: Final = 0.25  # between two requests to a kernel that is starting
_QUIET_SECONDS: Final = 0.05
_QUIET_TIMES: Final = 3  # in a row without a message: a dead kernel's last outputs have arrived


class Client(CellOutputs):
    """Executes cells in ``kernel``. ``lock`` is held while a cell changes.

    Further options are those of :class:`CellOutputs` and nbclient's hooks.
    """

    def __init__(
        self, nb: Any, kernel: Kernel, *, lock: AbstractContextManager[Any], **options: Any
    ) -> None:
        super().__init__(
            nb,
            km=kernel.km,
            kernel_name=kernel.name,
            iopub_timeout=OUTPUT_SECONDS,
            raise_on_iopub_timeout=True,
            **options,
        )
        self.received = ReceivedMessages(kernel.pid)
        self.last_message = time.monotonic()
        self._kernel = kernel
        self._lock = lock
        self._cells: dict[str, int] = {}  # execute request: index of its cell

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
        """Ask until a reply and a message on the outputs' channel arrive; return the language."""
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

    async def execute_in_place(
        self, cell: Any, index: int, *, number: int | None, name: str
    ) -> None:
        """Execute one cell as ``In [number]``; the kernel does not count a cell with the number 0.

        Such a cell ran as ``In [0]``: without a count it would look as if it had never run. None
        leaves counting to the kernel. ``name`` is what profilers show of it. Raises what nbclient
        raises.
        """
        assert self.kc is not None
        # Our launcher reads it.
        self.kc.session.metadata = {
            "stepkit_cell": number or 0,
            "stepkit_index": index,
            "stepkit_cell_name": name,
        }
        try:
            await self.async_execute_cell(cell, index, store_history=number != 0)
        finally:
            with self._lock:
                if number == 0 and cell["execution_count"] is not None:
                    cell["execution_count"] = 0  # the kernel replied with the next cell's
                self.end_cell(index)

    async def settle(self) -> None:
        """Receive what cells still send, until the kernel has answered a last question."""
        kc: Any = self.kc
        asked, parent, kind = kc.kernel_info(), None, ""
        while parent != asked:
            reply = await kc.get_shell_msg(timeout=None)
            self.received.add(reply)
            parent, content = reply["parent_header"].get("msg_id"), reply["content"]
            if parent in self._cells and content["status"] == "error":
                self.errors.setdefault(self._cells[parent], content)
        while (parent, kind) != (asked, "idle"):
            if message := await self._next_output():
                self._take_late(message)
                parent = message["parent_header"].get("msg_id")
                kind = message["content"].get("execution_state", "")

    def give_up(self) -> None:
        """End the wait for the running cell: its execution raises DeadKernelError."""
        if self.task_poll_for_reply:
            self.task_poll_for_reply.cancel()

    async def _next_output(self) -> Any:
        """Return the next message on the outputs' channel, None for a broken one."""
        assert self.kc is not None
        try:
            message = await self.kc.iopub_channel.get_msg(timeout=None)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            # A kernel that ends may tear what it still sends, and its libraries may send anything.
            logger.warning("a message of the kernel arrived broken: %s", error)
            return None
        if isinstance(message["parent_header"], dict) and isinstance(message["msg_id"], str):
            return message
        logger.warning("a message of the kernel arrived without a valid header")
        return None

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
            message = await self._next_output()
            if message is None:
                continue
            if message["parent_header"].get("msg_id") != parent_msg_id:
                self._take_late(message)
                continue
            self.last_message = time.monotonic()
            self.received.begin(message)
            self.received.add(message)
            try:
                with self._lock:
                    self.take(message, cell, cell_index)
            except CellExecutionComplete:
                return

    def _take_late(self, message: Any) -> None:
        """Take a message that does not belong to the running cell."""
        self.last_message = time.monotonic()
        self.received.add(message)
        index = self._cells.get(message["parent_header"].get("msg_id"))
        if index is not None:
            with self._lock:
                self.take_late(message, index)
