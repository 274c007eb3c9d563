"""Run notebooks in order, several at once where their needs allow."""

from __future__ import annotations

import logging
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Final

from stepkit.batch.planned_notebook import NotebookRun
from stepkit.formats import durations
from stepkit.system import status_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from threading import Event

    from stepkit.batch.planned_notebook import Planned, Status

logger = logging.getLogger(__name__)

_GOOD: Final = frozenset({"passed", "tolerated", "flaky", "reused"})


class Schedule:
    """One run of a plan; ``ended`` holds each notebook's end by its name."""

    def __init__(
        self,
        plan: Sequence[Planned],
        execute: Callable[[Planned], NotebookRun],
        *,
        jobs: int,
        fail_fast: bool,
        stop: Event,
    ) -> None:
        """Run at most ``jobs`` notebooks at once; none starts once ``stop`` is set."""
        self.plan = plan
        self.execute = execute
        self.jobs = jobs
        self.fail_fast = fail_fast
        self.stop = stop
        self.ended: dict[str, NotebookRun] = {}
        self.first_failed = ""  # its name
        self.began: dict[str, float] = {}  # when each notebook began that runs now
        self.running: dict[Future[NotebookRun], Planned] = {}

    def run(self) -> None:
        """Run all notebooks that can run, and record for the others why they cannot."""
        waiting = list(self.plan)
        with status_line.showing(self._status), ThreadPoolExecutor(self.jobs) as pool:
            try:
                while True:
                    while any(self._settle(one, waiting, pool) for one in list(waiting)):
                        pass
                    if not self.running:
                        return
                    for future in wait(self.running, return_when=FIRST_COMPLETED).done:
                        one = self.running.pop(future)
                        del self.began[one.name]
                        self._end(one, future.result())
            except BaseException:
                self.stop.set()  # so that an error here leaves no process behind
                raise

    def in_order(self) -> list[NotebookRun]:
        """Return how each notebook ended, in the order of the plan."""
        return [self.ended[one.name] for one in self.plan]

    def _settle(self, one: Planned, waiting: list[Planned], pool: ThreadPoolExecutor) -> bool:
        """Start ``one``, or record why it never runs; return False if it has to wait."""
        if fate := self._fate(one):
            waiting.remove(one)
            self._end(one, fate)
            return True
        ready = all(need in self.ended for need in one.needs)
        if not ready or len(self.running) >= self.jobs:
            return False
        waiting.remove(one)
        logger.info("%s: started", self._label(one))
        self.began[one.name] = time.monotonic()
        self.running[pool.submit(self.execute, one)] = one
        return True

    def _status(self) -> str:
        now = time.monotonic()
        running = [
            f"{name} {durations.elapsed(now - began, tenths=False)}"
            for name, began in self.began.copy().items()
        ]
        ended = f"{len(self.ended)} of {len(self.plan)} notebooks ended"
        return f"{ended}; running: {', '.join(running)}" if running else ended

    def _fate(self, one: Planned) -> NotebookRun | None:
        """Return how ``one`` ends without running, or None if it runs."""
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
        if self.first_failed and self.fail_fast:
            return _unrun(one, "not-run", f"{self.first_failed} failed (--fail-fast)")
        return None

    def _end(self, one: Planned, run: NotebookRun) -> None:
        self.ended[one.name] = run
        if run.status == "failed":
            self.first_failed = self.first_failed or one.name
        word = run.status.replace("-", " ")
        took = f" in {run.seconds:.1f} s" if run.exit_code is not None else ""
        until = f" (until {run.until})" if run.until else ""
        level = logging.ERROR if run.status == "failed" else logging.INFO
        said = f"{self._label(one)}: {word}{took}: {run.message}{until}"
        logger.log(level, "%s", said, extra={"place": run.place})

    def _label(self, one: Planned) -> str:
        return f"notebook {self.plan.index(one) + 1}/{len(self.plan)} {one.name}"


def _unrun(one: Planned, status: Status, message: str, until: str = "") -> NotebookRun:
    return NotebookRun(name=one.name, path=one.path, status=status, message=message, until=until)
