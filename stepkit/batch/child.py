"""Execute one notebook of several in a process of its own, and read back how it ended."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass, replace
from signal import Signals
from typing import TYPE_CHECKING, Any, Final

from stepkit.batch.child_arguments import arguments
from stepkit.batch.planned_notebook import NotebookRun, Places, Status
from stepkit.errors import Reason, StepError
from stepkit.gpu.step_options import GpuOptions
from stepkit.report import run_record
from stepkit.system import atomic_files, stepkit_process

if TYPE_CHECKING:
    from pathlib import Path

    from stepkit.batch.planned_notebook import Planned
    from stepkit.system.process import Completed

logger = logging.getLogger(__name__)

# execute-notebook saves and exits within 10 s; a pod has 30 s before SIGKILL.
GRACE_SECONDS: Final = 20.0

_STATUSES: Final[dict[str, Status]] = {"succeeded": "passed", "tolerated": "tolerated"}
_NOT_WRITTEN: Final = 3  # exit code of a notebook that did not write what it must


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the notebooks share; ``stop`` asks their processes to end, ``kill`` ends them."""

    places: Places
    gpu: GpuOptions
    page: bool
    log_output: bool
    stop: threading.Event
    kill: threading.Event

    def execute(self, one: Planned) -> NotebookRun:
        """Execute ``one`` once and judge it. It never raises a :class:`StepError`."""
        report = self.places.report(one)
        try:
            if missing := _missing(one, one.inputs):
                message = f"its input {missing} is not there ({one.place(missing)})"
                return _failed(one, Reason.BAD_INPUT, message, 2)
            before = {file: _stamp(one.place(file)) for file in one.outputs}
            done = stepkit_process.run(
                arguments(
                    one, self.places, gpu=self.gpu, page=self.page, log_output=self.log_output
                ),
                prefix=one.name,
                env=one.settings.env,
                stop=self.stop,
                kill=self.kill,
                grace=GRACE_SECONDS,
            )
            ended = _ended(one, done, report)
            if self.stop.is_set() and ended.status == "failed":
                return replace(ended, status="cancelled", reason=Reason.CANCELLED)
            return _with_outputs(one, ended, before)
        except StepError as error:
            return _failed(one, error.reason, str(error), error.exit_code)


def _missing(one: Planned, names: tuple[str, ...]) -> str:
    return next((file for file in names if not one.has(file)), "")


def _failed(one: Planned, reason: Reason, message: str, exit_code: int) -> NotebookRun:
    return NotebookRun(
        name=one.name,
        path=one.path,
        status="failed",
        reason=reason,
        message=message,
        exit_code=exit_code,
    )


def _ended(one: Planned, done: Completed, report: Path) -> NotebookRun:
    """Join what the process and its report say; nothing but both together is a success."""
    run = NotebookRun(
        name=one.name,
        path=one.path,
        status="failed",
        reason=Reason.TOOL_FAILED,
        exit_code=done.code,
        seconds=round(done.seconds, 3),
    )
    if not report.exists():
        return replace(run, **_without_report(done))
    entry = run_record.read(report)
    run = replace(run, report=report, message=entry.message)
    if not entry.data:  # it cannot be read
        return run
    run = replace(run, **_counts(entry))
    reason = Reason(entry.reason) if entry.reason in set(Reason) else Reason.TOOL_FAILED
    if done.code < 0:
        message = f"its process was killed by {_signal(done)}"
        return replace(run, reason=Reason.KILLED, message=message)
    if entry.exit_code != done.code:
        said = f"{entry.status}, exit code {entry.exit_code}"
        message = f"its report says {said}, but its process ended with {done.code}"
        return replace(run, message=message)
    return replace(run, status=_STATUSES.get(entry.status, "failed"), reason=reason)


def _without_report(done: Completed) -> dict[str, Any]:
    if done.code < 0:
        message = f"its process was killed by {_signal(done)} before it could report"
        return {"reason": Reason.KILLED, "message": message}
    said = [line for line in done.output.splitlines() if "error:" in line]
    why = f": {_text(said[-1])}" if said else ""
    reason = Reason.BAD_INPUT if done.code == 2 else Reason.TOOL_FAILED  # noqa: PLR2004 - a usage error
    return {"reason": reason, "message": f"it ended with {done.code} and left no report{why}"}


def _signal(done: Completed) -> str:
    number = -done.code
    return Signals(number).name if number in set(Signals) else f"signal {number}"


def _text(line: str) -> str:
    try:
        return str(json.loads(line)["body"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return line


def _counts(entry: run_record.Entry) -> dict[str, Any]:
    return {
        "cells_run": entry.output("cells-run"),
        "cells_total": entry.output("cells-total"),
        "tolerated": entry.tolerated,
    }


def _with_outputs(
    one: Planned, ended: NotebookRun, before: dict[str, tuple[int, int] | None]
) -> NotebookRun:
    """Fail a notebook that passed without writing what it must, in its report too."""
    if ended.status not in {"passed", "tolerated"}:
        return ended
    if missing := _missing(one, one.outputs):
        message = f"{ended.message}, but it did not write {missing} ({one.place(missing)})"
        failed = replace(
            ended,
            status="failed",
            reason=Reason.ARTIFACT_MISSING,
            message=message,
            exit_code=_NOT_WRITTEN,
        )
        _amend(failed)
        return failed
    for file, stamp in before.items():
        if stamp and stamp == _stamp(one.place(file)):
            logger.warning("%s did not write %s, which was there before", one.name, file)
    return ended


def _amend(run: NotebookRun) -> None:
    """Make the notebook's own report say what became known after it was written."""
    assert run.report is not None
    report = json.loads(run.report.read_bytes())
    report |= {
        "status": "failed",
        "reason": run.reason,
        "message": run.message,
        "exit_code": run.exit_code,
    }
    atomic_files.write_atomically(
        run.report, json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    )


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is written; None if there is none."""
    try:
        known = path.stat()
    except OSError:
        return None
    return known.st_ino, known.st_mtime_ns
