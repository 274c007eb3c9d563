"""Run a command in a fresh process, and measure it and the processes that it starts."""

import itertools
import os
import select
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import psutil

ROOT: Final = Path(__file__).parents[1]
BIN: Final = Path(sys.executable).parent
STEPKIT: Final = (sys.executable, "-P", "-m", "stepkit")
MARK: Final = "STEPKIT_BENCHMARK"  # in the environment of everything that is started here

_SAMPLE_SECONDS: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a command took: times in seconds, memory in bytes.

    ``first_output`` is when its first byte appeared on stdout or stderr. ``runner_*`` is without
    the kernel and its children, ``tree_*`` is with them. ``own_memory`` is the first process's.
    """

    wall: float
    first_output: float | None
    runner_cpu: float
    tree_cpu: float
    runner_memory: int
    tree_memory: int
    own_memory: int = 0


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished command: ``code`` as in :mod:`subprocess`, None when it took too long.

    ``output`` is everything that it printed, on stdout and on stderr.
    """

    usage: Usage
    code: int | None
    output: str

    @property
    def problem(self) -> str:
        """Why the command failed, with the last line that it printed; nothing if it did not."""
        if self.code is None:
            return f"still ran after {self.usage.wall:.0f} s"
        lines = [line for line in self.output.splitlines() if line.strip()]
        last = lines[-1][-200:] if lines else "it printed nothing"
        return f"exit code {self.code}: {last}" if self.code else ""


def environment(scratch: Path) -> dict[str, str]:
    """Return this process's environment, with Jupyter's and IPython's files below ``scratch``."""
    dropped = {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONWARNINGS"}
    return {
        **{name: value for name, value in os.environ.items() if name not in dropped},
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "IPYTHONDIR": str(scratch / "ipython"),
        "JUPYTER_CONFIG_DIR": str(scratch / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(scratch / "runtime"),
    }


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    limit: float = 600.0,
) -> Run:
    """Run ``command`` for at most ``limit`` seconds; what it leaves running is killed.

    ``env`` is its whole environment, this process's unless given.
    """
    mark = uuid.uuid4().hex
    started = time.perf_counter()
    child = subprocess.Popen(
        command,
        env={**(os.environ if env is None else env), MARK: mark},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    pipe, printed = child.stdout, bytearray()
    assert pipe is not None
    first_output: float | None = None

    def read() -> None:
        nonlocal first_output
        with pipe:
            while block := os.read(pipe.fileno(), 1 << 16):
                first_output = first_output or time.perf_counter() - started
                printed.extend(block)

    reader = threading.Thread(target=read)
    reader.start()
    watch = _Watch(child.pid)
    ended, in_time = os.pidfd_open(child.pid), True
    try:
        while in_time and not select.select([ended], [], [], _SAMPLE_SECONDS)[0]:
            watch.sample()
            in_time = time.perf_counter() < started + limit
    except BaseException:  # a signal: nothing must outlive the benchmark
        kill_marked(mark)
        raise
    finally:
        os.close(ended)
    if not in_time:
        kill_marked(mark)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    wall = time.perf_counter() - started
    runner_cpu = watch.runner_cpu()  # before the zombie is gone
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    kill_marked(mark)  # what still runs would keep the pipe open
    reader.join()
    usage = Usage(
        wall=wall,
        first_output=first_output,
        runner_cpu=runner_cpu,
        tree_cpu=max(runner_cpu, used.ru_utime + used.ru_stime),
        runner_memory=watch.runner_memory,
        tree_memory=watch.tree_memory,
        own_memory=watch.own_memory,
    )
    output = printed.decode(errors="replace")
    return Run(usage=usage, code=child.returncode if in_time else None, output=output)


def new() -> ProcessPoolExecutor:
    """Return an executor that calls a function of ours in one new process."""
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


@dataclass
class _Watch:
    """Samples a runner and its kernel, and keeps the highest figures.

    The kernel is the same whoever runs it; ``runner_*`` leaves it and its children out.
    """

    pid: int
    runner_memory: int = 0
    tree_memory: int = 0
    own_memory: int = 0
    _helpers: dict[int, float] = field(default_factory=dict)  # the CPU seconds of each
    _kernels: set[int] = field(default_factory=set)

    def sample(self) -> None:
        own, tree = 0, _resources(self.pid)[1]
        with suppress(OSError, IndexError):  # psutil knows the memory of now, not the peak
            status = Path(f"/proc/{self.pid}/status").read_text()
            own = int(status.split("VmHWM:")[1].split()[0]) * 1024
        self.own_memory = max(self.own_memory, own)
        for pid, of_kernel in list(self._descendants(self.pid)):
            cpu, memory = _resources(pid)
            tree += memory
            if not of_kernel:
                # Between fork and exec a child shares all its parent's pages: it counts from the
                # second sample on.
                own += memory if pid in self._helpers else 0
                self._helpers[pid] = max(cpu, self._helpers.get(pid, 0.0))
        self.runner_memory = max(self.runner_memory, own)
        self.tree_memory = max(self.tree_memory, tree)

    def runner_cpu(self) -> float:
        """Return the CPU seconds so far, also when the runner is a zombie."""
        return _resources(self.pid)[0] + sum(self._helpers.values())

    def _descendants(self, pid: int, *, of_kernel: bool = False) -> Iterator[tuple[int, bool]]:
        """Yield each process below ``pid``, and whether it is a kernel or a kernel started it.

        It reads two small files a process; psutil lists all processes of the machine each time.
        """
        children: list[int] = []
        with suppress(OSError):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                children += map(int, (thread / "children").read_text().split())
        for child in children:
            kernel = of_kernel or child in self._kernels or _is_kernel(child)
            if kernel:
                self._kernels.add(child)  # as a zombie it has no command line any more
                self._helpers.pop(child, None)  # it was seen between fork and exec
            yield child, kernel
            yield from self._descendants(child, of_kernel=kernel)


def _resources(pid: int) -> tuple[float, int]:
    """Return the CPU seconds and the resident bytes of a process, zeros when it is gone."""
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        return times.user + times.system, int(process.memory_info().rss)
    except psutil.Error:
        return 0.0, 0


def _is_kernel(pid: int) -> bool:
    """Return whether a process is a notebook's kernel: it has a connection file."""
    with suppress(psutil.Error):
        words = itertools.pairwise(psutil.Process(pid).cmdline())
        return any(flag == "-f" and name.endswith(".json") for flag, name in words)
    return False


def marked(mark: str) -> list[psutil.Process]:
    """Return the processes that inherited ``mark`` and still run."""
    found = []
    for pid in psutil.pids():
        with suppress(psutil.Error):
            child = psutil.Process(pid)
            if child.environ().get(MARK) == mark:
                found.append(child)
    return found


def kernels(mark: str) -> list[psutil.Process]:
    """Return the kernels among the processes that inherited ``mark``."""
    return [child for child in marked(mark) if _is_kernel(child.pid)]


def kill_marked(mark: str) -> None:
    """Kill what a run left behind."""
    for child in marked(mark):
        with suppress(psutil.NoSuchProcess):
            child.kill()


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until ``condition`` holds; return False when it still does not after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
