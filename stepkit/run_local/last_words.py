"""What run-local says at the end of a run: the first cause, its evidence, and where to look."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, Reason
from stepkit.formats import evidence_text
from stepkit.report.load_run import load_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepkit.errors import StepError
    from stepkit.run_local.scheduler import EndedTask

_COMPARED: Final = 100  # characters of a message that another task repeats


def first_cause(ended: Sequence[EndedTask]) -> StepError | None:
    """Return the error of the task that decided, None if no task failed the run.

    A task that judges the run, such as summarize, fails with the message of another one, whose
    failure was ignored (onError: continue) until then: that one decided. Its error gets the class
    of the task that failed the run, and its reason; a task that left no report counts as killed
    there, and keeps its own reason. On a full disk, the first task that could not write decided.
    """
    failed = next((task for task in ended if task.failed), None)
    if failed is None or failed.error is None:
        return None
    for task in ended:
        if task.error and task.ignored and _decided(task, task.error, failed.error):
            judged = failed.error.reason
            return type(failed.error)(
                str(task.error),
                reason=task.error.reason if judged is Reason.KILLED else judged,
                evidence=task.error.evidence,
                place=task.error.place,
            )
    return failed.error


def _decided(task: EndedTask, why: StepError, failure: StepError) -> bool:
    if why.reason is failure.reason is Reason.DISK_FULL:
        return True
    message = str(failure)
    said = str(why).partition(": ")[2].strip()[:_COMPARED]
    named = re.search(rf"(?:^|[:;] ){re.escape(task.task.name)}: ", message) is not None
    return named or (bool(said) and said in message)


def evidence(error: StepError | None) -> list[str]:
    """Return the evidence of ``error`` as lines; none if it has none."""
    if error is None or error.evidence is None:
        return []
    return evidence_text.lines(error.evidence, where=_where(str(error)))


def lines(ended: Sequence[EndedTask], error: StepError | None) -> Iterator[str]:
    """Yield how to learn more of the reason of ``error``, and the run's files."""
    for path in (task.results["summary"] for task in ended if "summary" in task.results):
        if isinstance(path, str) and path:
            yield from _files(Path(path))
    if error and error.reason is not Reason.TASK_FAILED:
        yield f"what {error.reason} means, and what to try: stepkit explain {error.reason}"


def _where(message: str) -> str:
    """Return what failed: the cell if the message names one, else the task."""
    found = re.search(r"\bcell \d+ of \d+", message) or re.match(r"task \S+", message)
    return found[0] if found else "the run"


def _files(summary: Path) -> Iterator[str]:
    """Yield the files for people beside the summary of a run, those to open first."""
    suffix = summary.stem.removeprefix("STEP_SUMMARY")
    record = summary.with_name(f"run{suffix}.json")
    named = [("report", summary.with_name(f"report{suffix}.html"))]
    try:
        pages = [one["page"] for one in load_run(record)["notebooks"] if one["page"]]
    except ConfigurationError:  # an older summarize wrote none
        pages = []
    named += [("page", summary.parent / page) for page in pages[:1]]
    named += [("summary", summary), ("record", record)]
    yield from (f"{name}: {path}" for name, path in named if path.is_file())
