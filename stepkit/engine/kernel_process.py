"""Start a kernel's process, wait for its end through its pidfd, interrupt it and end it."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from signal import SIGKILL, SIGRTMIN, SIGTERM, SIGUSR1
from typing import IO, TYPE_CHECKING, Any, Final

from stepkit import kernel as kernel_package
from stepkit.engine import kernel_stack, read_accelerated_calls, read_kernel_facts
from stepkit.errors import ConfigurationError
from stepkit.system import os_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stepkit.engine.kernel_stack import Stack

logger = logging.getLogger(__name__)

LAUNCHER: Final = Path(kernel_package.__file__).with_name("launcher.py")

# Seconds for a kernel that was asked to end: its atexit handlers may close a dask cluster.
GRACEFUL_SECONDS: Final = 30.0
NUDGE: Final = SIGRTMIN + 5  # the launcher ignores it; the C library uses the first ones
_TERM_SECONDS: Final = 2.0
_SILENT_SECONDS: Final = 3.0  # after which the wait for a kernel's end is logged
_STACK_SECONDS: Final = 0.2
_LEAST_FILES: Final = 64  # that a kernel opens
_OWN_FILES: Final = 48  # that its client opens, besides those that this process has open
_SOCKET_DIRECTORY: Final = 90  # characters of its path: that of a socket may have 107 (unix(7))

# Without a history file, for which runs at the same time would wait. Large messages are copied into
# the queue: pyzmq frees its own buffers when Python ends, and the last outputs would arrive torn.
_ARGUMENTS: Final = ("--HistoryManager.hist_file=:memory:", f"--Session.copy_threshold={1 << 62}")

_REPLACED: Final = ("ipykernel_launcher", "stepkit.kernel")  # modules; the launcher does their work


_NOISE: Final = (
    "Kernel is running over TCP without encryption",
    "Debugger warning:",
    "NOTE: When using",
    "Kernel is listening on a Unix",
    "IOStream.flush timed out",
)


class Kernel:
    """A kernel process that boots while its caller does something else."""

    def __init__(
        self, name: str, cwd: Path, env: Mapping[str, str], log: IO[str], runner: asyncio.Runner
    ) -> None:
        self.name = name
        self.log = log
        self.runner = runner
        self._sockets = tempfile.TemporaryDirectory(prefix="sk-", ignore_cleanup_errors=True)
        self.facts_file = Path(self._sockets.name, "facts.json")
        self.calls_file = Path(self._sockets.name, "calls.jsonl")
        self.km, self.lossless = _make_manager(name, self._sockets.name)
        try:
            runner.run(self._start(cwd, env))
        except BaseException:
            self._sockets.cleanup()
            raise
        self.process: Any = self.km.provisioner.process
        self.pidfd = os.pidfd_open(self.process.pid)
        self.ended = False
        self._logged = 0  # lines of its log
        self._taken: set[int] = set()  # lines of its log that are shown elsewhere

    @property
    def pid(self) -> int:
        """The kernel's process, which is also the leader of its process group."""
        return int(self.process.pid)

    @property
    def exit_code(self) -> int | None:
        """The process's exit code, negative for a signal; None while it runs."""
        code: int | None = self.process.poll()
        return code

    @property
    def killed_itself(self) -> bool:
        """Whether its code sent it the signal that ended it, as far as the launcher saw."""
        code = self.exit_code or 0
        if code >= 0:
            return False
        noted = (kernel_stack.OWN_SIGNAL.match(line) for line in _lines(self.log))
        return -code in {int(found[1]) for found in noted if found}

    async def wait_for_end(self) -> None:
        """Wait until the process has ended."""
        ended = asyncio.Event()
        own = os.dup(self.pidfd)  # an event loop has one reader for each descriptor
        loop = asyncio.get_running_loop()
        loop.add_reader(own, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(own)
            os.close(own)

    async def interrupt(self) -> None:
        """Send SIGINT to the kernel's process group, as Jupyter's stop button does."""
        if self.exit_code is None:
            await self.km.interrupt_kernel()

    def nudge(self) -> None:
        """Make the kernel handle an interrupt that came just before a system call."""
        if self.lossless and self.exit_code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, NUDGE)

    async def show_stack(self) -> None:
        """Make the kernel print the stacks of its threads to its log, even when it hangs.

        :meth:`take_stack` returns what it printed.
        """
        if self.lossless and self.exit_code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, SIGUSR1)
            await asyncio.sleep(_STACK_SECONDS)

    def take_stack(self, where: str) -> Stack:
        """Return where the threads were when the kernel hung or died, and keep that from the log.

        ``where`` is what the running cell is called.
        """
        lines = _lines(self.log)
        found = kernel_stack.find(lines, fatal=(self.exit_code or 0) < 0)
        self._taken.update(found)
        return kernel_stack.read([lines[number] for number in found], where)

    async def end(self, *, patience: float) -> None:
        """End the process by request, and after ``patience`` seconds by force."""
        if self.ended:
            return
        self.ended = True
        if patience and self.exit_code is None:
            await self.km.request_shutdown()
            seconds = min(patience, _SILENT_SECONDS)
            ended = await self._ends_within(seconds)
            if not ended and patience > seconds:
                logger.info("waiting up to %.0f s for the kernel to end", patience)
                ended = await self._ends_within(patience - seconds)
            if not ended:
                await self.km.provisioner.send_signal(SIGTERM)
                await self._ends_within(min(patience, _TERM_SECONDS))
        await self.km.shutdown_kernel(now=True)
        await self.km.cleanup_resources()

    def kill(self) -> None:
        """Kill the process and its group at once; :meth:`end` must still be called."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, SIGKILL)

    def last_line(self) -> str:
        """Return the last line that the process printed after a colon, or ""."""
        lines = _lines(self.log)
        crash = kernel_stack.find(lines, fatal=True)
        said = [line for line in lines[: crash[0] + 1 if crash else None] if not is_noise(line)]
        return f": {said[-1]}" if said else ""

    def log_lines(self) -> None:
        """Log what the process printed since the last call, outside of the outputs of cells."""
        lines = _lines(self.log)
        for number, line in enumerate(lines[self._logged :], self._logged):
            if number not in self._taken and not is_noise(line):
                logger.warning("kernel: %s", line)
        self._logged = len(lines)

    def close(self) -> None:
        """Free the descriptors and the directory of the process, which has ended."""
        os.close(self.pidfd)
        self._sockets.cleanup()

    async def _ends_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.wait_for_end(), seconds)
        return self.exit_code is not None

    async def _start(self, cwd: Path, env: Mapping[str, str]) -> None:
        for name in env:  # what the kernel's specification sets would win
            self.km.kernel_spec.env.pop(name, None)
        files = {
            read_kernel_facts.VARIABLE: str(self.facts_file),
            read_accelerated_calls.VARIABLE: str(self.calls_file),
        }
        # Without PYTHONOPTIMIZE: it has Python skip the assertions in cells.
        ours = {name: value for name, value in os.environ.items() if name != "PYTHONOPTIMIZE"}
        await self.km.start_kernel(
            extra_arguments=list(_ARGUMENTS) if self.lossless else [],
            cwd=str(cwd),
            env={**ours, **env, **(files if self.lossless else {})},
            stdout=self.log,
            stderr=self.log,
        )


@contextmanager
def start(name: str, cwd: Path, env: Mapping[str, str] | None = None) -> Iterator[Kernel]:
    """Start kernel ``name`` in ``cwd``, and end it with the block.

    ``env`` is added to the environment that it inherits. What its process prints is logged
    afterwards. Raises :class:`~stepkit.errors.StepError` when its program cannot be started.
    """
    _check_open_files()
    with ExitStack() as stack:
        try:
            log = stack.enter_context(tempfile.TemporaryFile("w+", errors="replace"))
            runner = stack.enter_context(asyncio.Runner())
            kernel = Kernel(name, cwd, env or {}, log, runner)
        except OSError as error:
            what = f"kernel {name!r} cannot be started"
            if error.filename:
                what += f": {error.filename}"
            raise os_errors.explain(what, error) from error
        try:
            yield kernel
        finally:
            runner.run(kernel.end(patience=0))
            kernel.log_lines()
            kernel.close()


def _check_open_files() -> None:
    """Refuse to start where ZeroMQ would abort the process for want of file descriptors."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    with os_errors.explaining_the_rest():
        used = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are all that is needed
    if limit < max(_LEAST_FILES, used + _OWN_FILES):
        raise ConfigurationError(
            f"this process may open {limit} files, and a notebook needs {_LEAST_FILES} or more: "
            "raise the limit (ulimit -n)"
        )


def is_noise(line: str) -> bool:
    """Return whether ``line`` is one that ipykernel prints for every local kernel."""
    return not line.strip() or any(noise in line for noise in _NOISE)


def _lines(file: IO[str]) -> list[str]:
    with suppress(OSError):
        file.seek(0)
        return [line.rstrip() for line in file]
    return []


def _make_manager(name: str, directory: str) -> tuple[Any, bool]:
    """Return Jupyter's manager of a kernel, and whether that kernel loses no output.

    Only then its sockets are files in ``directory`` rather than ports: without XPUB_NODROP such
    sockets lose more messages than ports do.
    """
    from jupyter_client.manager import AsyncKernelManager

    km: Any = AsyncKernelManager(kernel_name=name)
    argv = list(km.kernel_spec.argv)
    at = next((n for n, part in enumerate(argv) if part in _REPLACED), 0)
    if argv[at - 1 : at] != ["-m"]:
        return km, False
    argv[at - 1 : at + 1] = [str(LAUNCHER)]
    km.kernel_spec.argv = argv
    if len(directory) <= _SOCKET_DIRECTORY:
        km.transport, km.ip = "ipc", str(Path(directory, "k"))
    return km, True
