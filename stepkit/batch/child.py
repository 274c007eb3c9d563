"""Execute one notebook of a batch in its own process, and judge how it ended."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import SIGKILL
from typing import TYPE_CHECKING, Any, Final

from stepkit.batch.child_arguments import arguments
from stepkit.batch.planned_notebook import NotebookRun, Places, Status
from stepkit.errors import Reason, StepError
from stepkit.formats import evidence_text
from stepkit.gpu.step_options import GpuOptions
from stepkit.notebook.retry_options import RetryOptions
from stepkit.report import read_step_reports
from stepkit.rules.rules_options import RulesOptions
from stepkit.step import InReport
from stepkit.system import atomic_files, cgroup, stepkit_process

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepkit.batch.planned_notebook import Planned
    from stepkit.system.process import Completed

logger = logging.getLogger(__name__)

# execute-notebook saves and exits within 10 s; a pod has 30 s before SIGKILL.
GRACE_SECONDS: Final = 20.0

_STATUSES: Final[dict[str, Status]] = {
    "succeeded": "passed",
    "tolerated": "tolerated",
    "flaky": "flaky",
    "reused": "reused",
}
_CHANGED: Final = (
    "changed after the run began: if a notebook before it is to write it, name it in the outputs "
    "of that one in a --plan"
)
_NOT_WRITTEN: Final = 3  # exit code of a notebook that did not write its outputs


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the notebooks of a batch share.

    ``stop`` asks their processes to end, ``kill`` kills them; ``resume`` is the run that they
    resume, "" for none. ``checked`` has the sha256 of what must not change before it runs.
    """

    places: Places
    gpu: GpuOptions
    retry: RetryOptions
    rules: RulesOptions
    page: bool
    log_output: bool
    stop: threading.Event
    kill: threading.Event
    resume: str = ""
    checked: Mapping[Path, str] = field(default_factory=dict)

    def execute(self, one: Planned) -> NotebookRun:
        """Execute ``one`` once and judge it; a :class:`StepError` becomes a failed run."""
        try:
            if missing := _missing(one, one.inputs):
                message = f"its input {missing} is not there ({one.place(missing)})"
                return _failed(one, Reason.BAD_INPUT, message, 2)
            if self._changed(one.path):
                return _failed(one, Reason.BAD_INPUT, f"{one.path} {_CHANGED}", 2)
            kills = cgroup.oom_kills()
            before = {file: stepkit_process.stamp(one.place(file)) for file in one.outputs}
            done = stepkit_process.run(
                arguments(
                    one,
                    self.places,
                    gpu=self.gpu,
                    retry=self.retry,
                    rules=self.rules,
                    page=self.page,
                    log_output=self.log_output,
                    resume=self.resume,
                ),
                prefix=one.name,
                env={},
                later=one.settings.env,
                stop=self.stop,
                kill=self.kill,
                grace=GRACE_SECONDS,
            )
            oom_killed = kills != cgroup.oom_kills()
            ended = judge(one, done, self.places.report(one), oom_killed=oom_killed)
            if self.stop.is_set() and ended.status == "failed":
                return replace(ended, status="cancelled", reason=Reason.CANCELLED)
            return _check_outputs(one, ended, before)
        except StepError as error:
            return _failed(one, error.reason, str(error), error.exit_code)

    def _changed(self, path: Path) -> bool:
        if path not in self.checked:
            return False
        with suppress(OSError):  # execute-notebook says why it cannot be read
            return atomic_files.sha256(path) != self.checked[path]
        return False


def _failed(one: Planned, reason: Reason, message: str, exit_code: int) -> NotebookRun:
    return NotebookRun(
        name=one.name,
        path=one.path,
        status="failed",
        reason=reason,
        message=message,
        exit_code=exit_code,
    )


def checksums(plan: Sequence[Planned]) -> dict[Path, str]:
    """Return the sha256 of the notebooks that run, but for those that another one writes."""
    written = {os.path.realpath(one.place(file)) for one in plan for file in one.outputs}
    running = [one.path for one in plan if not one.exempt]
    kept = [path for path in running if os.path.realpath(path) not in written]
    return {path: atomic_files.sha256(path) for path in kept}


def judge(one: Planned, done: Completed, report: Path, *, oom_killed: bool = False) -> NotebookRun:
    """Return how ``one`` ended: a success only if its exit code and its ``report`` both say so.

    ``oom_killed`` says that the OOM killer ended a process meanwhile.
    """
    run = NotebookRun(
        name=one.name,
        path=one.path,
        status="failed",
        reason=Reason.TOOL_FAILED,
        exit_code=done.code,
        seconds=round(done.seconds, 3),
    )
    if not report.exists():
        reason, message = stepkit_process.explain_missing_report(done)
        return replace(run, reason=reason, message=message)
    entry = read_step_reports.read(report, lambda _: InReport(section="notebook", saves="output"))
    run = replace(run, report=report, message=entry.message)
    if not entry.data:  # it cannot be read
        return run
    run = replace(
        run,
        cells_run=entry.output("cells-run"),
        cells_total=entry.output("cells-total"),
        tolerated=entry.tolerated,
        reused_from=str(entry.reused["run"]) if entry.reused else "",
        was_flaky=(entry.reused or {}).get("status") == "flaky",
        error=evidence_text.of_json(error) if (error := entry.data.get("error")) else None,
        place=evidence_text.place_of_json(entry.data.get("place")),
    )
    reason = Reason(entry.reason) if entry.reason in set(Reason) else Reason.TOOL_FAILED
    if oom_killed and done.code == -SIGKILL:
        message = "its process was killed for memory, by the OOM killer"
        return replace(run, reason=Reason.OUT_OF_MEMORY, message=message)
    if done.code < 0:
        message = f"its process was killed by {stepkit_process.signal_of(done)}"
        return replace(run, reason=Reason.KILLED, message=message)
    if entry.exit_code != done.code:
        said = f"{entry.status}, exit code {entry.exit_code}"
        message = f"its report says {said}, but its process ended with {done.code}"
        return replace(run, message=message)
    return replace(run, status=_STATUSES.get(entry.status, "failed"), reason=reason)


def _check_outputs(
    one: Planned, ended: NotebookRun, before: dict[str, tuple[int, int] | None]
) -> NotebookRun:
    """Fail a notebook that passed without writing its outputs, in its report as well.

    ``before`` holds the stamp of each output from before the run.
    """
    if ended.status not in _STATUSES.values():
        return ended
    if missing := _missing(one, one.outputs):
        message = f"{ended.message}, but it did not write {missing} ({one.place(missing)})"
        failed: dict[str, Any] = {
            "status": "failed",
            "reason": Reason.ARTIFACT_MISSING,
            "message": message,
            "exit_code": _NOT_WRITTEN,
        }
        assert ended.report is not None
        report = json.dumps(
            json.loads(ended.report.read_bytes()) | failed, indent=2, ensure_ascii=False
        )
        atomic_files.write_atomically(ended.report, report + "\n")
        return replace(ended, **failed)
    for file, stamp in before.items():
        if stamp and stamp == stepkit_process.stamp(one.place(file)):
            logger.warning("%s did not write %s, which was there before", one.name, file)
    return ended


def _missing(one: Planned, names: tuple[str, ...]) -> str:
    return next((file for file in names if not one.has(file)), "")
