"""The ways in which a run is hurt, and what stepkit promises for each."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import notebooks, processes
from benchmarks.tally import Tally

_MIB: Final = 1 << 20
_TMPFS_MIB: Final = 16
_CGROUPS: Final = Path("/sys/fs/cgroup/memory")
_OOM_LIMIT_MIB: Final = 400
_START_SECONDS: Final = 1.2  # about how long the kernel takes to start
_POLL_SECONDS: Final = 0.005


@dataclass
class Stage:
    """Where one round happens, and what of it is known.

    ``expected`` is what the whole notebook leaves, ``seconds`` about how long that takes; ``deed``
    says what was done, and ``done_at`` when (:func:`time.monotonic`).
    """

    directory: Path
    dice: random.Random
    mark: str
    expected: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    child: subprocess.Popen[bytes] | None = None
    deed: str = ""
    done_at: float | None = None
    undo: list[Callable[[], object]] = field(default_factory=list)

    @property
    def notebook(self) -> Path:
        """The notebook that is executed."""
        return self.directory / "in.ipynb"

    @property
    def output(self) -> Path:
        """The notebook that is written."""
        return self.directory / "out" / "out.ipynb"

    @property
    def report(self) -> Path:
        """The report of the run, on a disk that is never full."""
        return self.directory / "report.json"

    @property
    def log(self) -> Path:
        """What the run prints."""
        return self.directory / "log"

    @property
    def scratch(self) -> Path:
        """The directory for temporary files of the run."""
        return self.directory / "tmp"

    @property
    def home(self) -> Path:
        """The directory of Jupyter and IPython for the run."""
        return self.directory / "home"

    def running(self) -> bool:
        """Tell whether the runner still runs."""
        assert self.child is not None
        return self.child.poll() is None

    def wait(self, seconds: float) -> bool:
        """Sleep so long, not past the runner's end; tell whether it still runs."""
        until = time.monotonic() + seconds
        while self.running() and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _POLL_SECONDS))
        return self.running()

    def did(self, what: str) -> None:
        """Note what was done to the run."""
        self.deed, self.done_at = what, time.monotonic()


def _nothing(_: Stage) -> None:
    pass


def _plain(stage: Stage) -> None:
    """Write the notebook that most rounds run: a few seconds, and workers as dask has them."""
    cells = stage.dice.randint(10, 30)
    pace = stage.dice.choice([0.02, 0.1, 0.3])
    size = stage.dice.choice([1_000, 50_000])
    stage.expected = notebooks.with_workers(stage.notebook, cells, size, pace)
    stage.seconds = _START_SECONDS + cells * pace


def _small_disk(stage: Stage) -> None:
    where = stage.output.parent
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_TMPFS_MIB}m", "tmpfs", where], check=True
    )
    stage.undo.append(partial(subprocess.run, ["umount", "-l", where], check=True))
    _plain(stage)


def _greedy(stage: Stage) -> None:
    """Write a notebook that wants more memory than there is, in a cell of its middle."""
    before = stage.dice.randint(1, 20)
    pace = stage.dice.choice([0.02, 0.1, 0.2])
    stage.expected = notebooks.greedy(stage.notebook, before, pace)


def _signal_at_random(signum: signal.Signals) -> Callable[[Stage], None]:
    def hurt(stage: Stage) -> None:
        moment = stage.dice.uniform(0.05, stage.seconds)
        if stage.wait(moment):
            assert stage.child is not None
            stage.child.send_signal(signum)
            stage.did(f"{signum.name} after {moment:.2f} s")

    return hurt


def _kill_kernel(stage: Stage) -> None:
    assert stage.child is not None
    kernels: list[int] = []
    while stage.running() and not kernels:
        kernels = [pid for pid in processes.marked(stage.mark) if processes.is_kernel(pid)]
        time.sleep(_POLL_SECONDS)
    moment = stage.dice.uniform(0.0, stage.seconds - _START_SECONDS + 0.5)
    if stage.wait(moment):
        with suppress(ProcessLookupError):
            os.kill(kernels[0], signal.SIGKILL)
            stage.did(f"the kernel was killed {moment:.2f} s after it started")


def _fill_disk(stage: Stage) -> None:
    moment = stage.dice.uniform(0.05, stage.seconds)
    if not stage.wait(moment):
        return
    free = stage.dice.choice([0, 4096, 100_000])
    filler = stage.output.parent / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(_MIB // 4))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    os.truncate(filler, max(0, filler.stat().st_size - free))
    stage.did(f"the disk was filled to {free} bytes after {moment:.2f} s")


def _in_cgroup(stage: Stage, command: list[str]) -> list[str]:
    """Return ``command`` as a container runs it: its own memory controller, with a limit."""
    group = _CGROUPS / f"stepkit-{stage.mark[:12]}"
    group.mkdir()
    stage.undo.append(partial(_remove, group))
    (group / "memory.limit_in_bytes").write_text(str(_OOM_LIMIT_MIB * _MIB))
    stage.did(f"{_OOM_LIMIT_MIB} MiB of memory")
    inside = f'mount --bind {group} {_CGROUPS} && exec "$@"'
    outside = f"echo $$ > {group}/cgroup.procs && exec unshare -m -C sh -c '{inside}' sh \"$@\""
    return ["sh", "-c", outside, "sh", *command]


def _remove(group: Path) -> None:
    """Remove a cgroup; it stays busy for a moment after its last process ended."""
    for _ in range(100):
        with suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.05)


def _in_shell(stage: Stage, command: list[str]) -> list[str]:
    del stage
    return command


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One way to hurt a run.

    ``codes`` are the exit codes that are promised when it was hurt in time and ``reasons`` those
    of its report; ``early`` are those allowed before the kernel started. ``orderly`` is whether
    the runner lives on to tidy up, ``asks`` whether it is asked to stop.
    """

    name: str
    codes: frozenset[int]
    reasons: frozenset[str]
    early: frozenset[int] = frozenset()
    orderly: bool = True
    asks: bool = False
    stage: Callable[[Stage], None] = _plain
    command: Callable[[Stage, list[str]], list[str]] = _in_shell
    hurt: Callable[[Stage], None] = _nothing
    missing: Callable[[], str] = lambda: ""


def _no_tmpfs() -> str:
    return "" if os.geteuid() == 0 else "only root mounts a tmpfs"


def _no_cgroup() -> str:
    """Say why no cgroup with a memory limit can be made; cgroup v1 only."""
    probe = _CGROUPS / f"stepkit-probe-{os.getpid()}"
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        return f"no memory cgroup (v1) can be made: {error.strerror}"
    return ""


SCENARIOS: Final = (
    Scenario(
        name="sigterm",
        codes=frozenset({143}),
        reasons=frozenset({"cancelled"}),
        early=frozenset({-signal.SIGTERM}),
        asks=True,
        hurt=_signal_at_random(signal.SIGTERM),
    ),
    Scenario(
        name="sigint",
        codes=frozenset({130}),
        reasons=frozenset({"cancelled"}),
        early=frozenset({-signal.SIGINT}),
        asks=True,
        hurt=_signal_at_random(signal.SIGINT),
    ),
    Scenario(
        name="sigkill-runner",
        codes=frozenset({-signal.SIGKILL}),
        reasons=frozenset(),
        orderly=False,
        hurt=_signal_at_random(signal.SIGKILL),
    ),
    Scenario(
        name="sigkill-kernel",
        codes=frozenset({4}),
        reasons=frozenset({"kernel-died"}),
        hurt=_kill_kernel,
    ),
    Scenario(
        name="out-of-memory",
        codes=frozenset({4}),
        reasons=frozenset({"out-of-memory"}),
        stage=_greedy,
        command=_in_cgroup,
        missing=_no_cgroup,
    ),
    Scenario(
        name="disk-full",
        codes=frozenset({4}),
        reasons=frozenset({"disk-full"}),
        stage=_small_disk,
        hurt=_fill_disk,
        missing=_no_tmpfs,
    ),
)
