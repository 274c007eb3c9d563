"""Judge a run of several notebooks: its error if it failed, its counts, and a table."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, StepError, ToolError, UserCodeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepkit.batch.planned_notebook import NotebookRun, Status

_WORDS: Final[dict[Status, str]] = {
    "reused": "reused",
    "tolerated": "with tolerated errors",
    "flaky": "flaky",
    "failed": "failed",
    "cancelled": "stopped",
    "skipped": "skipped",
    "not-run": "not run",
}


def error(runs: Sequence[NotebookRun]) -> StepError | None:
    """Return the error of the run as a whole, or None if it succeeded.

    An error of a notebook's code outweighs a wrong configuration, and that outweighs a failed
    tool: a second try helps only if it helps every notebook. The message names the first notebook
    with the chosen kind of error.
    """
    if runs and all(run.status == "skipped" for run in runs):
        return ConfigurationError(f"0 of {len(runs)} notebooks ran, all skipped: {_why(runs)}")
    for kind, codes in ((UserCodeError, {3}), (ConfigurationError, {2}), (ToolError, None)):
        for run in runs:
            if run.status == "failed" and (codes is None or run.exit_code in codes):
                message = f"{run.name}: {run.message}; {counts(runs)}"
                reason = run.reason or None
                return kind(message, reason=reason, evidence=run.error, place=run.place)
    return None


def sentence(runs: Sequence[NotebookRun]) -> str:
    """Return how a successful run ended, in one sentence."""
    errors = sum(run.tolerated for run in runs)
    plural = "s" if errors > 1 else ""
    flaky = any(run.status == "flaky" or run.was_flaky for run in runs)
    passed = "" if flaky else "passed with "
    begin = f"{passed}{errors} tolerated error{plural}: " if errors else ""
    skipped = [run for run in runs if run.status == "skipped"]
    return f"{begin}{counts(runs)}{f' ({_why(skipped)})' if skipped else ''}"


def counts(runs: Sequence[NotebookRun]) -> str:
    """Count the notebooks by how they ended."""
    found = Counter(run.status for run in runs)
    were_flaky = sum(run.was_flaky for run in runs)
    words = {**_WORDS, "reused": f"reused ({were_flaky} flaky)"} if were_flaky else _WORDS
    rest = (f"{found[status]} {word}" for status, word in words.items() if found[status])
    return ", ".join([f"{found['passed']} of {len(runs)} notebooks passed", *rest])


def table(runs: Sequence[NotebookRun]) -> Iterator[str]:
    """Yield a line in columns for each notebook."""
    width = max(len(run.name) for run in runs)
    for run in runs:
        time = f"{run.seconds:.1f} s" if run.exit_code is not None else ""
        until = f" (until {run.until})" if run.until else ""
        status = run.status.replace("-", " ")
        yield f"{run.name:<{width}}  {status:<9}  {time:>9}  {run.message}{until}"


def _why(runs: Sequence[NotebookRun]) -> str:
    return "; ".join(
        f"{run.name}: {run.message}{f' until {run.until}' if run.until else ''}" for run in runs
    )
