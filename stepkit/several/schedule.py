"""Run notebooks in their order, side by side where their needs allow."""

from __future__ import annotations

import logging
import signal
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from stepkit.errors import STOPPING
from stepkit.several.model import NotebookRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from threading import Event
    from types import FrameType

    from stepkit.several.model import Planned, Status

logger = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.2  # how soon a signal is told of; it takes effect at once
_GOOD: Final = frozenset({"passed", "tolerated"})


class Schedule:
    """One run. ``ended`` fills up, notebook by notebook."""

    def __init__(
        self,
        plan: Sequence[Planned],
        execute: Callable[[Planned], NotebookRun],
        *,
        jobs: int,
        fail_fast: bool,
        stop: Event,
    ) -> None:
        """Take what to run, how, and how many at once; nothing more starts once ``stop`` is set."""
        self.plan = plan
        self.execute = execute
        self.jobs = jobs
        self.fail_fast = fail_fast
        self.stop = stop
        self.ended: dict[str, NotebookRun] = {}
        self.running: dict[Future[NotebookRun], Planned] = {}

    def run(self) -> None:
        """Run all that can run, and settle the rest."""
        waiting = list(self.plan)
        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                while True:
                    while any(self._settle(one, waiting, pool) for one in list(waiting)):
                        pass
                    if not self.running:
                        return
                    for future in wait(self.running, return_when=FIRST_COMPLETED).done:
                        one = self.running.pop(future)
                        self._end(one, future.result())
            except BaseException:
                self.stop.set()  # leave no process behind when this breaks
                raise

    def in_order(self) -> list[NotebookRun]:
        """Return how the notebooks ended, in the order of the plan."""
        return [self.ended[one.name] for one in self.plan]

    def _settle(self, one: Planned, waiting: list[Planned], pool: ThreadPoolExecutor) -> bool:
        """Start ``one``, or say why it never will; return False if it has to wait."""
        if fate := self._fate(one):
            waiting.remove(one)
            self._end(one, fate)
            return True
        ready = all(need in self.ended for need in one.needs)
        if not ready or len(self.running) >= self.jobs:
            return False
        waiting.remove(one)
        logger.info("%s: started", self._label(one))
        self.running[pool.submit(self.execute, one)] = one
        return True

    def _fate(self, one: Planned) -> NotebookRun | None:
        if one.exempt:
            return _unrun(one, "skipped", one.exempt, one.until)
        for need in one.needs:
            ended = self.ended.get(need)
            if ended and ended.status == "skipped":
                message = f"needs {need}, which is skipped: {ended.message}"
                return _unrun(one, "skipped", message, ended.until)
            if ended and ended.status not in _GOOD:
                how = "did not run" if ended.status == "not-run" else "failed"
                how = "was stopped" if ended.status == "cancelled" else how
                return _unrun(one, "not-run", f"needs {need}, which {how}")
        if self.stop.is_set():
            return _unrun(one, "not-run", "the run was stopped")
        failed = [run.name for run in self.ended.values() if run.status == "failed"]
        if failed and self.fail_fast:
            return _unrun(one, "not-run", f"{failed[0]} failed (--fail-fast)")
        return None

    def _end(self, one: Planned, run: NotebookRun) -> None:
        self.ended[one.name] = run
        word = run.status.replace("-", " ")
        took = f" in {run.seconds:.1f} s" if run.exit_code is not None else ""
        until = f" (until {run.until})" if run.until else ""
        level = logging.ERROR if run.status == "failed" else logging.INFO
        logger.log(level, "%s: %s%s: %s%s", self._label(one), word, took, run.message, until)

    def _label(self, one: Planned) -> str:
        return f"notebook {self.plan.index(one) + 1}/{len(self.plan)} {one.name}"


def supervise(work: Callable[[], None], stop: Event, kill: Event) -> int | None:
    """Do ``work`` in a thread of its own; return the number of the signal that ended it, if any.

    The first signal sets ``stop``; a second Ctrl-C sets ``kill``, another signal changes nothing.
    For that time no signal is an exception, so that none interrupts what is half done.
    """
    with ThreadPoolExecutor(1) as pool:
        try:
            with _noting_signals(stop, kill) as seen:
                future = pool.submit(work)
                while not wait([future], timeout=_POLL_SECONDS).done:
                    if stop.is_set() and seen:
                        logger.warning("stopping: what runs is saved; a second Ctrl-C ends it")
                        wait([future])
            future.result()
        finally:
            stop.set()
            kill.set()
    return seen[0] if seen else None


@contextmanager
def _noting_signals(stop: Event, kill: Event) -> Iterator[list[int]]:
    seen: list[int] = []

    def note(signum: int, _: FrameType | None) -> None:
        if seen and signum == signal.SIGINT:
            kill.set()
        seen.append(signum)
        stop.set()

    before = {signum: signal.getsignal(signum) for signum in STOPPING}
    for signum, action in before.items():
        if signum != signal.SIGHUP or action != signal.SIG_IGN:  # nohup ignores it
            signal.signal(signum, note)
    try:
        yield seen
    finally:
        for signum, action in before.items():
            signal.signal(signum, action)


def _unrun(one: Planned, status: Status, message: str, until: str = "") -> NotebookRun:
    return NotebookRun(name=one.name, path=one.path, status=status, message=message, until=until)
