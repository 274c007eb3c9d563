"""The kernel's process: started early, watched by its pidfd, ended with patience."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGKILL, SIGRTMIN, SIGTERM, SIGUSR1
from typing import IO, TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError
from stepkit.kernel import __file__ as _inside

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

logger = logging.getLogger(__name__)

LAUNCHER: Final = Path(_inside).with_name("launcher.py")

# Seconds for a kernel that was asked to end: its atexit handlers may close a dask cluster.
GRACEFUL_SECONDS: Final = 30.0
NUDGE: Final = SIGRTMIN + 5  # the launcher does nothing at it; the first ones are the C library's
_TERM_SECONDS: Final = 2.0
_SPOKEN_SECONDS: Final = 3.0  # after which the wait for a kernel's end is told
_STACK_SECONDS: Final = 0.2
_SOCKET_DIRECTORY: Final = 90  # characters of its path: a socket's own may have 107 (unix(7))

# No history file, which runs at the same time would wait for. Large messages are copied into the
# queue: pyzmq frees what it lends to it when Python ends, and the last outputs arrive torn.
_ARGUMENTS: Final = ("--HistoryManager.hist_file=:memory:", f"--Session.copy_threshold={1 << 62}")

_STARTERS: Final = ("ipykernel_launcher", "stepkit.kernel")  # modules that the launcher stands for

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
        self.km, self.lossless = _prepared(name, self._sockets.name)
        try:
            runner.run(self._start(cwd, env))
        except BaseException:
            self._sockets.cleanup()
            raise
        self.process: Any = self.km.provisioner.process
        self.pidfd = os.pidfd_open(self.process.pid)
        self.ended = False
        self._logged = 0  # lines of its log

    @property
    def pid(self) -> int:
        """The kernel's process, which is also the leader of its process group."""
        return int(self.process.pid)

    @property
    def exit_code(self) -> int | None:
        """The process's exit code, negative for a signal; None while it runs."""
        code: int | None = self.process.poll()
        return code

    async def dead(self) -> None:
        """Return at the moment when the process ends."""
        ended = asyncio.Event()
        own = os.dup(self.pidfd)  # a loop knows one reader for each descriptor
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
        """Make the kernel notice an interrupt that came too late to end a system call."""
        if self.lossless and self.exit_code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, NUDGE)

    async def show_stack(self) -> None:
        """Make the kernel print the stacks of its threads to its log, hung or not."""
        if self.lossless and self.exit_code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, SIGUSR1)
            await asyncio.sleep(_STACK_SECONDS)

    async def end(self, *, patience: float) -> None:
        """End the process by request, and after ``patience`` seconds by force."""
        if self.ended:
            return
        self.ended = True
        if patience and self.exit_code is None:
            await self.km.request_shutdown()
            if not await self._ends_patiently(patience):
                await self.km.provisioner.send_signal(SIGTERM)
                await self._ends_within(min(patience, _TERM_SECONDS))
        await self.km.shutdown_kernel(now=True)
        await self.km.cleanup_resources()

    def kill(self) -> None:
        """Kill the process and its group at once; :meth:`end` must still be called."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, SIGKILL)

    def last_words(self) -> str:
        """Return the last line that the process printed, ready to follow a message."""
        lines = [line for line in _lines(self.log) if not is_noise(line)]
        return f": {lines[-1]}" if lines else ""

    def log_lines(self) -> None:
        """Log what the process itself printed since the last time."""
        lines = _lines(self.log)
        for line in lines[self._logged :]:
            if not is_noise(line):
                logger.warning("kernel: %s", line)
        self._logged = len(lines)

    def close(self) -> None:
        """Free what the process needed."""
        os.close(self.pidfd)
        self._sockets.cleanup()

    async def _ends_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.dead(), seconds)
        return self.exit_code is not None

    async def _ends_patiently(self, seconds: float) -> bool:
        if await self._ends_within(min(seconds, _SPOKEN_SECONDS)):
            return True
        if seconds <= _SPOKEN_SECONDS:
            return False
        logger.info("waiting up to %.0f s for the kernel to end", seconds)
        return await self._ends_within(seconds - _SPOKEN_SECONDS)

    async def _start(self, cwd: Path, env: Mapping[str, str]) -> None:
        for name in env:  # what the kernel's specification sets would win
            self.km.kernel_spec.env.pop(name, None)
        await self.km.start_kernel(
            extra_arguments=list(_ARGUMENTS) if self.lossless else [],
            cwd=str(cwd),
            env={**os.environ, **env},
            stdout=self.log,
            stderr=self.log,
        )


@contextmanager
def start(name: str, cwd: Path, env: Mapping[str, str] | None = None) -> Iterator[Kernel]:
    """Start kernel ``name`` in ``cwd``, and end it with the block, whatever happens.

    ``env`` is added to our own environment.
    What its process prints is logged afterwards. Raises :class:`ConfigurationError` when its
    program cannot be started.
    """
    with asyncio.Runner() as runner, tempfile.TemporaryFile("w+", errors="replace") as log:
        try:
            kernel = Kernel(name, cwd, env or {}, log, runner)
        except OSError as error:
            raise ConfigurationError(
                f"kernel {name!r} cannot be started: {error.strerror}: {error.filename}"
            ) from error
        try:
            yield kernel
        finally:
            runner.run(kernel.end(patience=0))
            kernel.log_lines()
            kernel.close()


def is_noise(line: str) -> bool:
    """Tell whether ipykernel says this of every local kernel, and no reader can act on it."""
    return not line.strip() or any(noise in line for noise in _NOISE)


def _lines(file: IO[str]) -> list[str]:
    with suppress(OSError):
        file.seek(0)
        return [line.rstrip() for line in file]
    return []


def _prepared(name: str, directory: str) -> tuple[Any, bool]:
    """Return a kernel's Jupyter object, and whether it loses no output.

    Sockets in a private directory stand in for ports only then: without XPUB_NODROP they lose
    more than ports do.
    """
    from jupyter_client.manager import AsyncKernelManager

    km: Any = AsyncKernelManager(kernel_name=name)
    argv = list(km.kernel_spec.argv)
    km.client_factory = _client_class()
    at = next((n for n, part in enumerate(argv) if part in _STARTERS), 0)
    if argv[at - 1 : at] == ["-m"]:
        argv[at - 1 : at + 1] = [str(LAUNCHER)]
        km.kernel_spec.argv = argv
        if len(directory) <= _SOCKET_DIRECTORY:
            km.transport, km.ip = "ipc", str(Path(directory, "k"))
        return km, True
    return km, False


def _client_class() -> Any:
    """Make a client whose sockets queue without a limit: a full queue drops messages."""
    import zmq
    import zmq.asyncio
    from jupyter_client.asynchronous.client import AsyncKernelClient
    from traitlets import default

    class Client(AsyncKernelClient):
        @default("context")
        def _default_context(self) -> zmq.asyncio.Context:
            self._created_context = True
            context = zmq.asyncio.Context()
            context.setsockopt(zmq.RCVHWM, 0)
            return context

    return Client
