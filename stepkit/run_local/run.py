"""Run a planned Pipeline from beginning to end, and judge how it went."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError, StepError
from stepkit.run_local import last_words
from stepkit.run_local.progress import table
from stepkit.run_local.scheduler import EndedTask, Scheduler
from stepkit.run_local.task_run import Machine
from stepkit.system import atomic_files, logfile, signals
from stepkit.tekton import substitute_variables
from stepkit.tekton.substitute_variables import Missing, MissingResult, Names

if TYPE_CHECKING:
    from stepkit.run_local.plan import Plan

logger = logging.getLogger(__name__)

_STOPPING: Final = "stopping: finally still runs; a second Ctrl-C ends all at once"


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a run of a Pipeline went; ``error`` and ``signum`` say why it did not succeed."""

    results: dict[str, Any]
    tasks: tuple[dict[str, Any], ...]
    status: str
    message: str
    error: StepError | None
    signum: int | None


def run_pipeline(plan: Plan, jobs: int) -> Finished:
    """Run ``plan``, at most ``jobs`` TaskRuns at once. Secrets are masked in what it returns."""
    for directory in plan.workspaces.values():
        with atomic_files.explaining(f"cannot make the workspace {directory}"):
            directory.mkdir(parents=True, exist_ok=True)
    stop, kill = Event(), Event()
    with TemporaryDirectory(prefix="stepkit-run-", ignore_cleanup_errors=True) as private:
        root = Path(private)
        tasks = Machine(root=root, secrets=plan.secrets, stop=stop, kill=kill, resume=plan.resume)
        last = Machine(root=root, secrets=plan.secrets, stop=kill, kill=kill)
        scheduler = Scheduler(plan, jobs, tasks, last)
        signum = signals.run_stoppable(scheduler.run, stop=stop, kill=kill, message=_STOPPING)
    ended = scheduler.in_order()
    for line in table(ended):
        logger.info("%s", plan.secrets.redact(line))
    results, missing = _pipeline_results(plan, ended)
    error = last_words.first_cause(ended) or missing
    if shown := [plan.secrets.redact(line) for line in last_words.evidence(error)]:
        logfile.log_block(logger, logging.ERROR, shown[0], shown[1:])
    for line in last_words.lines(ended, error):
        logger.info("%s", plan.secrets.redact(line))
    return Finished(
        results=results,
        tasks=tuple(_row(task, plan) for task in ended),
        status=_status(ended),
        message=_message(ended),
        error=plan.secrets.redacted(error) if error else None,
        signum=signum,
    )


def _status(ended: list[EndedTask]) -> str:
    """Return how a run ended that did not fail; its verdict also knows of files that it reused."""
    said = [task.results.get(name) for task in ended for name in ("status", "verdict")]
    if "flaky" in said:
        return "flaky"
    ignored = any(task.error is not None and task.ignored for task in ended)
    if ignored or "tolerated" in said or "passed with tolerated errors" in said:
        return "tolerated"
    return "succeeded"


def _message(ended: list[EndedTask]) -> str:
    statuses = [task.results.get("status") for task in ended]
    reused = [task.reused_from[0] for task in ended if task.reused_from and not task.error]
    counts = (
        (len(reused), f"reused from {' and '.join(dict.fromkeys(reused))}"),
        (sum(bool(task.skipped) for task in ended), "skipped"),
        (
            sum(task.error is not None and task.ignored for task in ended),
            "failed and ignored (onError: continue)",
        ),
        (statuses.count("tolerated"), "with tolerated errors"),
        (statuses.count("flaky"), "flaky"),
    )
    succeeded = sum(task.status == "Succeeded" for task in ended)
    rest = "".join(f", {count} {what}" for count, what in counts if count)
    return f"{succeeded} of {len(ended)} tasks succeeded{rest}"


def _pipeline_results(
    plan: Plan, ended: list[EndedTask]
) -> tuple[dict[str, Any], StepError | None]:
    """Return the Pipeline's results, and why one is missing although its task succeeded.

    As in Tekton from 1.12 on, a task that failed passes on what it wrote before.
    """
    written = {task.task.name: task.results for task in ended}
    succeeded = {task.task.name for task in ended if task.status == "Succeeded"}
    scope = Names()
    for group, tasks in (("tasks", plan.pipeline.tasks), ("finally", plan.pipeline.final)):
        scope[group] = Names()
        for task in tasks:
            known = written.get(task.name, Names())
            declared = task.task.results
            results = {name: known.get(name, Missing(task.name, name)) for name in declared}
            scope[group][task.name] = Names(results=Names(results))
    found: dict[str, Any] = {}
    error: StepError | None = None
    for name, node in plan.pipeline.results.items():
        try:
            found[name] = _redacted(substitute_variables.value(node, scope), plan)
        except MissingResult as missing:
            if missing.task in succeeded:
                error = error or ConfigurationError(f"{node.source}: result {name}: {missing}")
        except StepError as problem:
            error = error or problem
    return found, error


def _redacted(value: Any, plan: Plan) -> Any:
    if isinstance(value, list):
        return [plan.secrets.redact(item) for item in value]
    if isinstance(value, dict):
        return {key: plan.secrets.redact(item) for key, item in value.items()}
    return plan.secrets.redact(value)


def _row(task: EndedTask, plan: Plan) -> dict[str, Any]:
    """Return one entry of the report's ``tasks``."""
    results = {}
    for name, value in task.results.items():
        items = value if isinstance(value, list) else [value]
        if not any(isinstance(item, Missing) for item in items):
            results[name] = _redacted(value, plan)
    return {
        "task": task.task.name,
        "status": "Skipped" if task.skipped else task.status,
        "reason": task.reason,
        "seconds": round(task.seconds, 3),
        "message": plan.secrets.redact(task.why),
        "results": results,
        "reused_from": list(task.reused_from),
    }
