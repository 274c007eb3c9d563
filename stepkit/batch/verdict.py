"""The verdict on several notebooks: the counts, the sentence, and the error that follows."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, StepError, ToolError, UserCodeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepkit.batch.planned_notebook import NotebookRun, Status

_WORDS: Final[dict[Status, str]] = {
    "tolerated": "with tolerated errors",
    "failed": "failed",
    "cancelled": "stopped",
    "skipped": "skipped",
    "not-run": "not run",
}


def error(runs: Sequence[NotebookRun]) -> StepError | None:
    """Return why the run as a whole is no success, None if it is one.

    What a notebook did outweighs a wrong configuration, and that outweighs a tool that gave up:
    a second try can help only if it can help everywhere. The error is that of the first notebook
    of its kind.
    """
    if runs and all(run.status == "skipped" for run in runs):
        return ConfigurationError(f"0 of {len(runs)} notebooks ran, all skipped: {_why(runs)}")
    for kind, codes in ((UserCodeError, {3}), (ConfigurationError, {2}), (ToolError, None)):
        for run in runs:
            if run.status == "failed" and (codes is None or run.exit_code in codes):
                message = f"{run.name}: {run.message}; {counts(runs)}"
                return kind(message, reason=run.reason or None)
    return None


def sentence(runs: Sequence[NotebookRun]) -> str:
    """Say how a run went that did not fail."""
    errors = sum(run.tolerated for run in runs)
    plural = "s" if errors > 1 else ""
    passed = f"passed with {errors} tolerated error{plural}: " if errors else ""
    skipped = [run for run in runs if run.status == "skipped"]
    return f"{passed}{counts(runs)}{f' ({_why(skipped)})' if skipped else ''}"


def counts(runs: Sequence[NotebookRun]) -> str:
    """Count the notebooks by how they ended."""
    found = Counter(run.status for run in runs)
    rest = (f"{found[status]} {word}" for status, word in _WORDS.items() if found[status])
    return ", ".join([f"{found['passed']} of {len(runs)} notebooks passed", *rest])


def table(runs: Sequence[NotebookRun]) -> Iterator[str]:
    """Yield a line for each notebook, in columns."""
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
