"""Hurt a step at one of the calls by which it changes files, and check what is left.

The step is stopped there (``look``), is killed with all its processes, loses what no disk has
(``power``), meets an error of the disk, or is killed at a random moment. What is there must be old
or new, each file whole; and the next run must end as if nothing had happened.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from faults import stopped_calls
from faults.power_cut import Disk
from faults.whole_files import LEFTOVER, NOT_DURABLE, contents

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.kill_scenarios import Scenario, World
    from faults.stopped_calls import Call, Ended

ERRORS: Final = {
    "enospc": errno.ENOSPC, "edquot": errno.EDQUOT, "eio": errno.EIO, "estale": errno.ESTALE,
}  # fmt: skip
MODES: Final = ("look", "kill", "power", *ERRORS, "random")

_LIMIT: Final = 60.0  # seconds for one run of a step
_CHAIN: Final = 8  # so many random kills follow each other before a run may end
_FULL: Final = {errno.ENOSPC, errno.EDQUOT}  # of a disk that stays full
_GROWS: Final = {
    "write", "pwrite64", "writev", "pwritev", "sendfile", "copy_file_range", "fallocate", "open",
    "openat", "creat", "mkdir", "mkdirat", "link", "linkat", "symlink", "symlinkat", "fsync",
    "fdatasync",
}  # fmt: skip
_ENDS: Final = {0, 4}  # exit codes that an error of the disk may have


@dataclass
class Outcome:
    """One round. ``point`` counts the calls that change files, or is a moment in seconds.

    ``left`` is what the next run must remove. All other lists are broken promises: files that are
    neither old nor new, that are gone, a wrong verdict, and what is wrong after the next run.
    """

    scenario: str
    mode: str
    point: float
    call: str = ""
    code: int | None = None
    left: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    hung: bool = False
    wrong: list[str] = field(default_factory=list)
    next_run: list[str] = field(default_factory=list)
    log: str = ""

    @property
    def bad(self) -> bool:
        """Whether a promise was broken."""
        return bool(self.torn or self.lost or self.hung or self.wrong or self.next_run)


@dataclass(frozen=True)
class Known:
    """An undisturbed run: its calls, the files before and after it, the list of :class:`Disk`."""

    calls: int
    seconds: float
    old: dict[str, Any]
    new: dict[str, Any]
    relied: list[str]


class Bench:
    """A directory for rounds of one scenario."""

    def __init__(self, scenario: Scenario, world: World) -> None:
        self.scenario, self.world = scenario, world
        self.name = f"{scenario.step}/{scenario.name}"
        self.root = world.directory / "round"
        self.work = self.root / "work"
        self.log = self.root / "log"
        self._template = world.directory / "templates" / self.name
        self._kills = 0  # at random, since the last whole run

    def know(self) -> Known:
        """Run the step once without harm."""
        self._reset()
        old, disk, calls = contents(self.work), Disk(self.work), 0

        def count(call: Call) -> int:
            nonlocal calls
            calls += 1
            disk.note(call)
            return 0

        began = time.monotonic()
        ended = self._run(count)
        seconds = time.monotonic() - began
        assert ended.code == 0, f"{self.name} ended with {ended.code}: {self.log.read_text()}"
        return Known(calls, seconds, old, contents(self.work), disk.relied)

    def look(self, known: Known) -> list[Outcome]:
        """Check what is there before each call of one run, which is stopped meanwhile."""
        self._reset()
        outcomes: list[Outcome] = []

        def decide(call: Call) -> int:
            outcomes.append(Outcome(self.name, "look", len(outcomes) + 1, self._say(call)))
            self._check(known, outcomes[-1])
            return 0

        self._run(decide)
        return outcomes

    def play(self, known: Known, mode: str, point: float) -> Outcome:
        """Hurt one run at ``point`` by ``mode``, check what is there, and run it again.

        Random kills follow each other, and only after the last one a run may end.
        """
        if not self._kills:
            self._reset()
        outcome, disk, number = Outcome(self.name, mode, point), Disk(self.work), 0

        def decide(call: Call) -> int | None:
            nonlocal number
            number += 1
            if mode == "random" or number < point:
                disk.note(call)
                return 0
            if number == point:
                outcome.call = self._say(call)
            if mode not in ERRORS:
                return None
            code = ERRORS[mode]
            return code if (call.name in _GROWS if code in _FULL else number == point) else 0

        ended = self._run(decide, point if mode == "random" else _LIMIT)
        outcome.code, outcome.log = ended.code, self._last_lines()
        outcome.hung = ended.code is None and mode != "random"
        if mode == "power":
            disk.lose()
        self._check(known, outcome)
        if mode in ERRORS:
            self._check_verdict(known, outcome)
        self._kills = (self._kills + 1) % _CHAIN if mode == "random" else 0
        if not self._kills:
            self._check_next_run(known, outcome)
        return outcome

    def _reset(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        for name in ("home", "tmp"):
            (self.root / name).mkdir(parents=True)
        if not self._template.exists():
            self._template.mkdir(parents=True)
            self.scenario.prepare(self.world, self._template)
        if self.scenario.copies:
            shutil.copytree(self._template, self.work, symlinks=True)
        else:
            self._template.rename(self.work)

    def _run(self, decide: Callable[[Call], int | None], seconds: float = _LIMIT) -> Ended:
        """Run the step; ``decide`` is asked about each call that changes a file of ``work``."""

        def ours(call: Call) -> int | None:
            inside = any(Path(path).is_relative_to(self.work) for path in call.paths)
            return decide(call) if inside or call.name in {"sync", "syncfs"} else 0

        home, temporary = self.root / "home", self.root / "tmp"
        arguments = self.scenario.arguments(self.world, self.work)
        command = [sys.executable, "-P", "-m", "stepkit", self.scenario.step, *arguments]
        return stopped_calls.run(
            [*command, "--report", self.work / "report.json"],
            ours,
            env={
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "HOME": str(home),
                "IPYTHONDIR": str(home / "ipython"),
                "TMPDIR": str(temporary),
                **self.scenario.environment(self.world),
            },
            directory=self.work / self.scenario.inside,
            log=self.log,
            seconds=seconds,
        )

    def _say(self, call: Call) -> str:
        return " ".join([call.name, *call.paths]).replace(str(self.root), "")

    def _last_lines(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    def _check(self, known: Known, outcome: Outcome) -> None:
        """Check that each file is as it was or as it will be, and that none is gone."""
        found = contents(self.work)
        for path, value in found.items():
            # A kill before the exchange leaves the new checkout, whole, under the backup's name.
            names = {path, path.replace(".backup-TIME", "")}
            either = [side[name] for side in (known.old, known.new) for name in names & side.keys()]
            if LEFTOVER.fullmatch(path):
                outcome.left += [path] * (path not in known.new)
            elif outcome.mode == "power" and NOT_DURABLE.fullmatch(path):
                continue
            elif str(value).startswith("torn") or (value not in either and not self.scenario.grows):
                outcome.torn.append(f"{path}: {value}")
        aside = {Path(path).name for path in outcome.left}  # from where the next run takes it back
        gone = [path for path in known.old if path in known.new and path not in found]
        outcome.lost += [path for path in gone if Path(path).name not in aside]

    def _check_verdict(self, known: Known, outcome: Outcome) -> None:
        """Check that an error of the disk was reported, or did no harm."""
        if outcome.code not in _ENDS:
            outcome.wrong.append(f"exit code {outcome.code}")
        if "Traceback" in outcome.log:
            outcome.wrong.append("a traceback")
        if outcome.code == 0 and (lacks := self._lacks(known)):
            outcome.wrong.append(f"success, but not as it should be: {lacks}")

    def _check_next_run(self, known: Known, outcome: Outcome) -> None:
        ended = self._run(lambda _: 0)
        if ended.code != 0:
            outcome.next_run.append(f"exit code {ended.code}")
            outcome.log += "\n--- the next run\n" + self._last_lines()
        if lacks := self._lacks(known, power=outcome.mode == "power"):
            outcome.next_run.append(f"not as it should be: {lacks}")
        left = [path for path in contents(self.work) if LEFTOVER.fullmatch(path)]
        left = [path for path in left if path not in known.new and not path.endswith(".lock")]
        outcome.next_run += [f"left {path}" for path in left[:1]]

    def _lacks(self, known: Known, *, power: bool = False) -> str:
        found = contents(self.work)
        wrong = [
            path
            for path, value in known.new.items()
            if found.get(path) != value
            and not LEFTOVER.fullmatch(path)
            and not (power and NOT_DURABLE.fullmatch(path))
        ]
        return ", ".join(wrong[:3])
