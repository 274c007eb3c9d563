"""One run of a notebook in one kernel, from the first cell to the last save."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, Final

from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from stepkit.engine import papermill_metadata
from stepkit.engine.cell_events import RunState
from stepkit.engine.cell_log import CellLog
from stepkit.engine.cell_status import CellStatus
from stepkit.engine.client import OUTPUT_SECONDS, Client
from stepkit.engine.heartbeat import Heartbeat
from stepkit.engine.kernel_process import GRACEFUL_SECONDS
from stepkit.engine.kernel_stack import Stack
from stepkit.engine.output_limit import OutputLimit
from stepkit.engine.papermill_metadata import Record
from stepkit.errors import STOPPING, Reason, ToolError
from stepkit.notebook.verdict import Ending, Execution
from stepkit.system import cgroup, status_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.engine.kernel_process import Kernel
    from stepkit.engine.run_cells import Request

# Seconds for the kernel's reply to an interrupt, and for its end after that. Together with the save
# they must fit into the 10 s that a cancelled run may take.
_INTERRUPT_SECONDS: Final = 5
_LAST_SECONDS: Final = 2.0


class Session:
    """The run of ``request`` in ``kernel``."""

    def __init__(self, request: Request, kernel: Kernel) -> None:
        self.request = request
        self.kernel = kernel
        self.nb = request.notebook
        self.state = RunState(
            execution_timeout=request.execution_timeout,
            run_timeout=request.run_timeout,
            tolerances=request.tolerances,
        )
        self.record = Record(
            self.nb,
            request.output,
            interval=request.checkpoint_interval,
            progress_bar=request.progress_bar,
            flush=self._flush,
        )
        checkpoints = self.record.checkpoints
        self._lock = checkpoints.lock if checkpoints else nullcontext()
        self._outputs = request.output and request.output.with_suffix(".outputs")
        self._limits: dict[int, OutputLimit] = {}
        if self._outputs:
            OutputLimit.remove_files(self._outputs)
        self.client = Client(
            self.nb,
            kernel,
            lock=self._lock,
            cell_log=CellLog(
                log=request.log_output,
                stdout=request.stdout_file,
                stderr=request.stderr_file,
                printed=request.progress.printed if request.progress else None,
            ),
            limits=self._limits,
            changed=self.record.changed,
            on_cell_execute=self._cell_execute,
            on_cell_executed=self._cell_executed,
        )
        self._oom_kills = cgroup.oom_kills() or 0
        self._stopped = asyncio.Event()
        self._interrupted = False
        self._shown_stack = False

    async def run(self) -> None:
        """Execute all cells and save. How it ended is in ``state``.

        Raises :class:`ToolError` when the kernel does not start, and what saving raises.
        """
        text = CellStatus(self.state, hidden=self.request.progress_bar).text
        with self._signals(), self.client.channels(), status_line.showing(text):
            await self._connect()
            self.state.begin(self.nb)
            self.record.notebook_start()
            if self.request.progress:
                self.request.progress.begin(self.state)
            heartbeat = Heartbeat(
                self.client,
                self.state,
                self.kernel.pid,
                interval=self.request.heartbeat,
                hang_timeout=self.request.hang_timeout,
                on_hang=lambda: self._stop(Ending.HUNG, limit=self.request.hang_timeout),
            )
            beating = asyncio.ensure_future(heartbeat.beat())
            try:
                try:
                    for index, cell in enumerate(self.nb.cells):
                        if self._stopped.is_set() or not await self._cell(index, cell):
                            break
                    else:
                        await self._settle()
                finally:
                    beating.cancel()
            finally:
                await self._close()

    def execution(self) -> Execution:
        """Return how the run ended, as a verdict is made from it."""
        state, kernel = self.state, self.kernel
        return Execution(
            cells=tuple(state.plan.values()),
            ending=state.ending,
            cancelled_by=state.cancelled_by,
            exit_code=kernel.exit_code,
            killed_itself=kernel.killed_itself,
            limit=state.limit,
            oom_kills=(cgroup.oom_kills() or 0) - self._oom_kills,
            memory_limit=cgroup.memory_limit(),
            messages_lost=self.client.received.lost,
            skipped=state.skipped,
            started=state.started,
            zero=state.zero.isoformat(timespec="milliseconds"),
        )

    async def _connect(self) -> None:
        request = self.request
        limit = min(request.start_timeout, request.run_timeout or request.start_timeout)
        connecting = asyncio.ensure_future(self.client.connect(limit))
        stopping = asyncio.ensure_future(self._stopped.wait())
        await asyncio.wait({connecting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not connecting.done():
            connecting.cancel()
            raise asyncio.CancelledError
        try:
            connecting.result()
        except (RuntimeError, TimeoutError) as error:
            slow = isinstance(error, TimeoutError)
            raise ToolError(
                f"kernel {self.kernel.name!r} did not start: {error}{self.kernel.last_line()}",
                reason=Reason.TIMEOUT if slow else Reason.KERNEL_DIED,
            ) from error

    async def _cell(self, index: int, cell: Any) -> bool:
        """Execute one cell within the limits, and return whether the next one is to follow."""
        with self._lock:
            self.record.cell_start(cell, index)
        try:
            if index in self.state.plan:
                limit, ending = self.state.time_left()
                executing = asyncio.ensure_future(self._execute(cell, index))
                stopping = asyncio.ensure_future(self._stopped.wait())
                done, _ = await asyncio.wait(
                    {executing, stopping}, timeout=limit, return_when=asyncio.FIRST_COMPLETED
                )
                stopping.cancel()
                if executing not in done:
                    self.state.stop(ending)
                    await self._interrupt(executing)
                executing.result()
        except DeadKernelError:
            self.state.stop(Ending.KERNEL_DIED)
        except CellTimeoutError:
            self.state.stop(Ending.OUTPUT_TIMEOUT, limit=OUTPUT_SECONDS)
        except CellExecutionError:
            return bool(self.state.plan[index].status == "tolerated")
        finally:
            self.state.abandon()
            with self._lock:
                self.state.explain(cell, index, self._stack(index))
                self.record.cell_complete(cell, index)
                papermill_metadata.mark_cell(cell, self.state.plan.get(index))
            self._note_progress()
        return self.state.ending == Ending.FINISHED

    async def _settle(self) -> None:
        """Wait until the kernel, whose replies may be forged, has nothing left to do."""
        over = self.client.settle(), self.kernel.wait_for_end(), self._stopped.wait()
        tasks = {asyncio.ensure_future(one) for one in over}
        first = asyncio.FIRST_COMPLETED
        done, running = await asyncio.wait(tasks, timeout=OUTPUT_SECONDS, return_when=first)
        for task in running:
            task.cancel()
        if not done or any(task.exception() for task in done):
            self.state.stop_last(Ending.OUTPUT_TIMEOUT, limit=OUTPUT_SECONDS)
        for index, shown in self.client.errors.items():
            self.state.take_late_error(self.nb.cells[index], index, shown)
            papermill_metadata.mark_cell(self.nb.cells[index], self.state.plan[index])

    async def _execute(self, cell: Any, index: int) -> None:
        plan = self.state.plan[index]
        number = None if self.request.kernel_counts else plan.number
        name = f"{plan.name}: {plan.title}"
        await self.client.execute_in_place(cell, index, number=number, name=name)

    async def _interrupt(self, executing: asyncio.Future[None]) -> None:
        """Interrupt the running cell, and give the kernel some seconds to reply."""
        self._interrupted = True
        if self.state.ending == Ending.HUNG:
            await self._show_stack()  # where it waits: the interrupt may end that
        await self.kernel.interrupt()
        for _ in range(_INTERRUPT_SECONDS):
            await asyncio.wait({executing}, timeout=1)
            if executing.done():
                break
            self.kernel.nudge()
        else:
            if self.state.ending != Ending.HUNG:
                await self._show_stack()
            self.client.give_up()
            await asyncio.wait({executing})

    async def _show_stack(self) -> None:
        self._shown_stack = True
        await self.kernel.show_stack()

    def _stack(self, index: int) -> Stack:
        """Return where the kernel's threads were when it hung or died in a cell."""
        if not self._shown_stack and self.state.ending != Ending.KERNEL_DIED:
            return Stack()
        return self.kernel.take_stack(self.state.plan[index].name)

    async def _close(self) -> None:
        """End the kernel while the last state is saved; a signal ends it at once."""
        patience = _LAST_SECONDS if self._interrupted else GRACEFUL_SECONDS
        ending = asyncio.ensure_future(self.kernel.end(patience=patience))
        try:
            self.client.set_widgets_metadata()
            self.record.notebook_complete()
            papermill_metadata.mark_notebook(self.nb, self.execution())
            await asyncio.to_thread(self.record.finish)
        finally:
            stopping = asyncio.ensure_future(self._stopped.wait())
            both: set[asyncio.Future[Any]] = {ending, stopping}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not ending.done() and not self._interrupted:
                self.kernel.kill()
            await ending

    def _flush(self) -> None:
        self.client.flush()

    def _note_progress(self) -> None:
        if self.request.progress:
            self.request.progress.changed()

    def _cell_execute(self, cell: Any, cell_index: int) -> None:
        if self._outputs and self.request.cell_output_limit:
            name = str(self.state.plan[cell_index].number or f"injected-{cell_index}")
            limit = OutputLimit(self.request.cell_output_limit, self._outputs, name)
            self._limits[cell_index] = limit
        self.state.cell_execute(cell, cell_index)
        self._note_progress()

    def _cell_executed(self, cell: Any, cell_index: int, execute_reply: Any) -> None:
        self.client.received.add(execute_reply)
        shown = self.client.errors.get(cell_index)
        self.state.cell_executed(cell, cell_index, execute_reply, shown)

    def _stop(self, ending: Ending, *, limit: float | None = None) -> None:
        self.state.stop(ending, limit=limit)
        self._stopped.set()

    def _on_signal(self, signum: int) -> None:
        if self._stopped.is_set():
            if signum != signal.SIGHUP:  # a terminal that closes may send it twice
                self.client.give_up()  # a second signal: do not wait for the kernel's reply
            return
        self.state.cancelled_by = signum
        self._stop(Ending.CANCELLED)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Stop the run at SIGINT, SIGTERM and SIGHUP; only the main thread can handle signals."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        before = {s: signal.getsignal(s) for s in STOPPING}
        taken = [s for s, action in before.items() if action is not signal.SIG_IGN]
        for signum in taken:
            loop.add_signal_handler(signum, self._on_signal, signum)
        try:
            yield
        finally:
            for signum in taken:
                with suppress(ValueError):
                    loop.remove_signal_handler(signum)
                    signal.signal(signum, before[signum])
