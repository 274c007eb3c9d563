"""The lines that show how a run goes: the end of each TaskRun, and the table at the end."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

from stepkit.formats.shorten import shorten
from stepkit.run_local import verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepkit.run_local.plan import Plan, TaskRun
    from stepkit.run_local.scheduler import EndedTask
    from stepkit.run_local.task_run import Outcome

logger = logging.getLogger(__name__)

_SHOWN_RESULTS: Final = 3
_SHOWN_CHARACTERS: Final = 40
_SHOWN_MESSAGE: Final = 120  # characters of why a task failed, in the table
_SHOWN_HASH: Final = 7  # characters, as git does
_HASH: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def log_end(run: TaskRun, outcome: Outcome, plan: Plan) -> None:
    """Log how ``run`` ended: why it failed, its result ``message``, or the first of its results."""
    if outcome.error:
        level = logging.WARNING if run.ignored else logging.ERROR
        why = verdict.brief(run.label, outcome.error)
        logger.log(level, "%s: failed in %.1f s: %s", run.label, outcome.seconds, why)
        return
    if isinstance(message := outcome.results.get("message"), str) and message.strip():
        said = " ".join(plan.secrets.redact(message).split())
        how = "done" if outcome.reused_from else "succeeded"  # the message says that it is reused
        logger.info("%s: %s in %.1f s: %s", run.label, how, outcome.seconds, said)
        return
    common = {"status", "reason", "message"}
    results = [(n, v) for n, v in outcome.results.items() if n not in common and v]
    parts = []
    for name, value in results[:_SHOWN_RESULTS]:
        # Mask before cutting: a part of a secret is not recognised.
        line = " ".join(plan.secrets.redact(str(value)).split())
        room = _SHOWN_HASH if _HASH.fullmatch(line) else _SHOWN_CHARACTERS
        parts.append(f"{name}={shorten(line, room + 1, ellipsis='…')}")
    shown = f" ({', '.join(parts)})" if parts else ""
    logger.info("%s: succeeded in %.1f s%s", run.label, outcome.seconds, shown)


def table(ended: Iterable[EndedTask]) -> list[str]:
    """Return the lines of a table that shows how each task ended."""
    rows = [("task", "status", "seconds", "reason")]
    for task in ended:
        status = "Skipped" if task.skipped else task.status
        seconds = "-" if task.skipped else f"{task.seconds:.1f}"
        rows.append((task.task.name, status, seconds, _why(task)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in rows
    ]


def _why(task: EndedTask) -> str:
    if task.reused_from and not task.error:
        return f"reused from {' and '.join(dict.fromkeys(task.reused_from))}"
    if not task.error:
        return task.why or ("" if task.reason == "Succeeded" else task.reason)
    note = "failed, and the run went on (onError): " if task.ignored else ""
    return note + shorten(verdict.brief(task.task.name, task.error), _SHOWN_MESSAGE)
