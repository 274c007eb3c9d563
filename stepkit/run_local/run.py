"""One run from beginning to end: its processes, its signals, its verdict."""

from __future__ import annotations

import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import TYPE_CHECKING, Any, Final, TypeVar

from stepkit.errors import Cancelled, ConfigurationError, StepError
from stepkit.run_local import plan_text
from stepkit.run_local.scheduler import Ended, Scheduler
from stepkit.run_local.task_run import Machine
from stepkit.system import atomic_files, signals
from stepkit.tekton import variables
from stepkit.tekton.variables import Missing, MissingResult, Names

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepkit.run_local.plan import Plan

T = TypeVar("T")

logger = logging.getLogger(__name__)

_STOPPING: Final = "stopping: finally still runs; a second Ctrl-C ends all at once"


def run(plan: Plan, jobs: int, outputs: Callable[..., T]) -> T:
    """Run ``plan``, at most ``jobs`` tasks at once.

    Raises the error of the first task that failed, and :class:`Cancelled` after a signal; both
    carry the outputs.
    """
    for directory in plan.workspaces.values():
        with atomic_files.explaining(f"cannot make the workspace {directory}"):
            directory.mkdir(parents=True, exist_ok=True)
    stop, kill = Event(), Event()
    with TemporaryDirectory(prefix="stepkit-run-", ignore_cleanup_errors=True) as private:
        root = Path(private)
        tasks = Machine(root=root, secrets=plan.secrets, stop=stop, kill=kill)
        last = Machine(root=root, secrets=plan.secrets, stop=kill, kill=kill)
        scheduler = Scheduler(plan, jobs, tasks, last)
        signum = signals.run_stoppable(scheduler.run, stop=stop, kill=kill, message=_STOPPING)
    ended = scheduler.in_order()
    for line in plan_text.table(ended):
        logger.info("%s", plan.secrets.redact(line))
    for path in (task.results["summary"] for task in ended if "summary" in task.results):
        logger.info("summary: %s", plan.secrets.redact(str(path)))
    results, trouble = _results(plan, ended)
    left = outputs(
        run=plan.run,
        results=results,
        tasks=tuple(_row(task, plan) for task in ended),
        status="tolerated" if any(_tolerated(task) for task in ended) else "succeeded",
        message=_message(ended),
    )
    error = next((task.error for task in ended if task.failed), None) or trouble
    if signum is not None:
        raise Cancelled(signum, outputs=left) from error
    if error:
        raise plan.secrets.redacted(error).leaving(left)
    return left


def _results(plan: Plan, ended: list[Ended]) -> tuple[dict[str, Any], StepError | None]:
    """Return the Pipeline's results, and why one is missing although its task succeeded."""
    good = {task.task.name for task in ended if task.status == "Succeeded"}
    groups = {
        group: Names(
            {
                task.name: Names(results=_results_of(task.name, task.task.results, ended, good))
                for task in tasks
            }
        )
        for group, tasks in (("tasks", plan.pipeline.tasks), ("finally", plan.pipeline.final))
    }
    found: dict[str, Any] = {}
    trouble: StepError | None = None
    for name, node in plan.pipeline.results.items():
        try:
            found[name] = _redacted(variables.value(node, Names(groups)), plan)
        except MissingResult as missing:
            if missing.task in good:
                trouble = trouble or ConfigurationError(f"{node.source}: result {name}: {missing}")
        except StepError as error:
            trouble = trouble or error
    return found, trouble


def _results_of(name: str, declared: Any, ended: list[Ended], good: set[str]) -> Names:
    written = next((task.results for task in ended if task.task.name == name), Names())
    return Names(
        {r: written[r] if name in good and r in written else Missing(name, r) for r in declared}
    )


def _redacted(value: Any, plan: Plan) -> Any:
    if isinstance(value, list):
        return [plan.secrets.redact(item) for item in value]
    if isinstance(value, dict):
        return {key: plan.secrets.redact(item) for key, item in value.items()}
    return plan.secrets.redact(value)


def _tolerated(task: Ended) -> bool:
    return (task.error is not None and task.ignored) or task.results.get("status") == "tolerated"


def _row(task: Ended, plan: Plan) -> dict[str, Any]:
    return {
        "task": task.task.name,
        "status": "Skipped" if task.skipped else task.status,
        "reason": task.reason,
        "seconds": round(task.seconds, 3),
        "message": plan.secrets.redact(task.why),
        "results": {
            name: _redacted(value, plan)
            for name, value in task.results.items()
            if not _is_missing(value)
        },
    }


def _is_missing(value: Any) -> bool:
    return isinstance(value, Missing) or (
        isinstance(value, list) and any(isinstance(item, Missing) for item in value)
    )


def _message(ended: list[Ended]) -> str:
    good = sum(task.status == "Succeeded" for task in ended)
    skipped = sum(bool(task.skipped) for task in ended)
    ignored = sum(task.error is not None and task.ignored for task in ended)
    told = f"{good} of {len(ended)} tasks succeeded"
    if skipped:
        told += f", {skipped} skipped"
    if ignored:
        told += f", {ignored} failed and ignored (onError: continue)"
    if tolerated := sum(task.results.get("status") == "tolerated" for task in ended):
        told += f", {tolerated} with tolerated errors"
    return told
