"""The ways in which a run is hurt, and what stepkit promises for each."""

import errno
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import notebooks, process
from benchmarks.contents import Contents

_MIB: Final = 1 << 20
_CGROUPS: Final = Path("/sys/fs/cgroup/memory")
_OOM_LIMIT_MIB: Final = 400
_START_SECONDS: Final = 1.2  # about how long the kernel takes to start
_POLL_SECONDS: Final = 0.005


@dataclass
class Round:
    """Where one run happens, and what is known of it.

    ``expected`` is what the whole notebook leaves, ``seconds`` about how long that takes; ``deed``
    says what was done to the run, and ``done_at`` when (:func:`time.monotonic`). ``cleanup`` undoes
    at the end what was prepared.
    """

    directory: Path
    dice: random.Random
    mark: str
    cleanup: ExitStack = field(default_factory=ExitStack)
    expected: Contents = field(default_factory=Contents)
    seconds: float = 0.0
    child: subprocess.Popen[bytes] | None = None
    deed: str = ""
    done_at: float | None = None

    def __post_init__(self) -> None:
        self.notebook = self.directory / "in.ipynb"
        self.output = self.directory / "out" / "out.ipynb"
        self.report = self.directory / "report.json"  # on a disk that is never full
        self.log = self.directory / "log"
        self.scratch = self.directory / "tmp"  # for temporary files of the run
        self.home = self.directory / "home"  # of Jupyter and IPython
        for path in (self.output.parent, self.scratch, self.home):
            path.mkdir()

    def is_running(self) -> bool:
        """Return whether the runner still runs."""
        assert self.child is not None
        return self.child.poll() is None

    def wait(self, seconds: float) -> bool:
        """Sleep so long, not past the runner's end; return whether it still runs."""
        until = time.monotonic() + seconds
        while self.is_running() and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _POLL_SECONDS))
        return self.is_running()

    def note(self, deed: str) -> None:
        """Note what was done to the run."""
        self.deed, self.done_at = deed, time.monotonic()


def _prepare_plain(now: Round) -> None:
    """Write the notebook that most rounds run: a few seconds, and workers as dask has them."""
    cells = now.dice.randint(10, 30)
    pace = now.dice.choice([0.02, 0.1, 0.3])
    size = now.dice.choice([1_000, 50_000])
    now.expected = notebooks.paced(now.notebook, cells, size, pace, worker=True)
    now.seconds = _START_SECONDS + cells * pace


def _prepare_small_disk(now: Round) -> None:
    disk = now.output.parent
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk], check=True)
    now.cleanup.callback(subprocess.check_call, ["umount", "-l", disk])
    _prepare_plain(now)


def _prepare_greedy(now: Round) -> None:
    """Write a notebook that wants more memory than there is, in a cell of its middle."""
    before = now.dice.randint(1, 20)
    pace = now.dice.choice([0.02, 0.1, 0.2])
    now.expected = notebooks.greedy(now.notebook, before, pace)


def _signal_runner(signum: signal.Signals, now: Round) -> None:
    moment = now.dice.uniform(0.05, now.seconds)
    if now.wait(moment):
        assert now.child is not None
        now.child.send_signal(signum)
        now.note(f"{signum.name} after {moment:.2f} s")


def _kill_kernel(now: Round) -> None:
    process.wait_until(lambda: bool(process.kernels(now.mark)) or not now.is_running(), 60)
    moment = now.dice.uniform(0.0, now.seconds - _START_SECONDS + 0.5)
    if now.wait(moment):
        with suppress(ProcessLookupError, IndexError):  # it ended meanwhile
            os.kill(process.kernels(now.mark)[0], signal.SIGKILL)
            now.note(f"the kernel was killed {moment:.2f} s after it started")


def _fill_disk(now: Round) -> None:
    moment = now.dice.uniform(0.05, now.seconds)
    if not now.wait(moment):
        return
    free = now.dice.choice([0, 4096, 100_000])
    filler = now.output.parent / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(_MIB // 4))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    os.truncate(filler, max(0, filler.stat().st_size - free))
    now.note(f"the disk was filled to {free} bytes after {moment:.2f} s")


def _run_in_cgroup(now: Round, command: list[str]) -> list[str]:
    """Return ``command`` as a container runs it: its own memory controller, with a limit."""
    group = _CGROUPS / f"stepkit-{now.mark[:12]}"
    group.mkdir()

    def remove() -> None:
        for _ in range(100):  # it stays busy for a moment after its last process ended
            with suppress(OSError):
                group.rmdir()
                return
            time.sleep(0.05)

    now.cleanup.callback(remove)
    (group / "memory.limit_in_bytes").write_text(str(_OOM_LIMIT_MIB * _MIB))
    now.note(f"{_OOM_LIMIT_MIB} MiB of memory")
    inside = f'mount --bind {group} {_CGROUPS} && exec "$@"'
    outside = f"echo $$ > {group}/cgroup.procs && exec unshare -m -C sh -c '{inside}' sh \"$@\""
    return ["sh", "-c", outside, "sh", *command]


def _missing_cgroup() -> str:
    """Say why no cgroup with a memory limit can be made; cgroup v1 only."""
    probe = _CGROUPS / f"stepkit-probe-{os.getpid()}"
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        return f"no memory cgroup (v1) can be made: {error.strerror}"
    return ""


@dataclass(frozen=True)
class Scenario:
    """One way to hurt a run.

    ``codes`` are the exit codes that are promised when it was hurt in time and ``reasons`` those
    of its report; ``early`` are those allowed before the kernel started. ``orderly`` is whether
    the runner lives on to tidy up, ``asks`` whether it is asked to stop. ``missing`` says why it
    cannot be played here, or nothing.
    """

    name: str
    codes: set[int]
    reasons: set[str]
    _: KW_ONLY
    early: frozenset[int] = frozenset()
    orderly: bool = True
    asks: bool = False
    prepare: Callable[[Round], None] = _prepare_plain
    wrap: Callable[[Round, list[str]], list[str]] = lambda _, command: command
    hurt: Callable[[Round], None] = lambda _: None
    missing: Callable[[], str] = lambda: ""


def _by_signal(signum: signal.Signals, codes: set[int], reasons: set[str]) -> Scenario:
    asks = signum != signal.SIGKILL
    return Scenario(
        signum.name.lower() if asks else "sigkill-runner",
        codes,
        reasons,
        early=frozenset({-signum} if asks else ()),
        orderly=asks,
        asks=asks,
        hurt=partial(_signal_runner, signum),
    )


SCENARIOS: Final = (
    _by_signal(signal.SIGTERM, {143}, {"cancelled"}),
    _by_signal(signal.SIGINT, {130}, {"cancelled"}),
    _by_signal(signal.SIGKILL, {-9}, set()),
    Scenario("sigkill-kernel", {4}, {"kernel-died"}, hurt=_kill_kernel),
    Scenario(
        "out-of-memory",
        {4},
        {"out-of-memory"},
        prepare=_prepare_greedy,
        wrap=_run_in_cgroup,
        missing=_missing_cgroup,
    ),
    Scenario(
        "disk-full",
        {4},
        {"disk-full"},
        prepare=_prepare_small_disk,
        hurt=_fill_disk,
        missing=lambda: "" if os.geteuid() == 0 else "only root mounts a tmpfs",
    ),
)
