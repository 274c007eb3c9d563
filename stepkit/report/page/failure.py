"""Why a run or a notebook did not pass: the code around the line that failed, and what to try."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stepkit.formats.plain_text import plain
from stepkit.report import reason_texts
from stepkit.report.fitting_remedies import fitting_remedies
from stepkit.report.run_json import CauseJson
from stepkit.report.run_json_notebook import CellJson, NotebookJson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.report.reason_texts import ReasonText
    from stepkit.report.run_json import RunJson
    from stepkit.report.run_json_notebook import ErrorJson

_AROUND: Final = 8  # lines before and after the one that failed
_MOST_LINES: Final = 24  # of a source whose failing line is unknown
_STATUSES: Final = {"failed": "failed", "cancelled": "cancelled"}
_STOPPED: Final = ("error", "stopped")


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of source code, its number, and whether it is the one that failed."""

    number: int
    text: str
    failed: bool


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """Some lines of a source; ``before`` and ``after`` count those that are left out."""

    lines: list[Line]
    before: int
    after: int


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What decided a verdict; ``notebook`` and ``cell`` are None if it was none of them.

    ``remedies`` are what to try in this run.
    """

    cause: CauseJson
    notebook: NotebookJson | None
    cell: CellJson | None
    remedies: tuple[str, ...]

    @property
    def remedy(self) -> ReasonText | None:
        """What the reason means, and what usually causes it."""
        return reason_texts.find(self.cause["reason"])


def of_run(run: RunJson) -> Failure | None:
    """Return why a run did not pass, None if it passed or nobody knows."""
    cause = run["cause"]
    if cause is None:
        return None
    notebook = None if cause["notebook"] is None else run["notebooks"][cause["notebook"]]
    known = notebook is not None and cause["cell"] is not None
    cell = notebook["cells"][cause["cell"]] if known else None  # type: ignore[index]
    return Failure(cause=cause, notebook=notebook, cell=cell, remedies=fitting_remedies(run, cause))


def of_notebook(run: RunJson, index: int) -> Failure | None:
    """Return why one of the notebooks did not pass."""
    notebook = run["notebooks"][index]
    if notebook["status"] not in _STATUSES:
        return None
    place, cell = next(
        ((n, c) for n, c in enumerate(notebook["cells"]) if c["status"] in _STOPPED), (None, None)
    )
    cause: CauseJson = {
        "step": notebook["step"],
        "status": "failed" if notebook["status"] == "failed" else "cancelled",
        "reason": notebook["reason"],
        "exit_code": notebook["exit_code"],
        "message": notebook["message"],
        "notebook": index,
        "cell": place,
        "error": cell["error"] if cell else None,
    }
    return Failure(cause=cause, notebook=notebook, cell=cell, remedies=fitting_remedies(run, cause))


def excerpt(error: ErrorJson | None) -> Excerpt | None:
    """Return the lines around the one that failed, or the first ones; None without a source."""
    texts = plain(error["source"]).splitlines() if error else []
    if not error or not texts:
        return None
    failed = error["line"] or 0
    if 1 <= failed <= len(texts):
        first, last = max(failed - _AROUND, 1), min(failed + _AROUND, len(texts))
    else:
        first, last = 1, min(len(texts), _MOST_LINES)
    lines = [
        Line(number=number, text=texts[number - 1], failed=number == failed)
        for number in range(first, last + 1)
    ]
    return Excerpt(lines=lines, before=first - 1, after=len(texts) - last)


def issue_text(run: RunJson, failure: Failure) -> str:
    """Return Markdown that describes the failure: for an issue, or to ask someone."""
    return plain("\n".join(_issue_lines(run, failure)))


def _issue_lines(run: RunJson, failure: Failure) -> Iterator[str]:
    cause, notebook = failure.cause, failure.notebook
    yield f"**{cause['step']} {cause['status']} ({cause['reason']})**: {cause['message']}"
    error = cause["error"]
    if error:
        if found := excerpt(error):
            marked = [f"{'>' if line.failed else ' '} {line.text}" for line in found.lines]
            yield from _block("Source", "python", marked)
        yield from _block("Traceback", "text", plain(error["traceback"]).splitlines())
        yield from _block("Last output", "text", error["output"])
        yield from _block("Threads", "text", error["stack"].splitlines())
    yield ""
    for repository in run["repositories"]:
        commit = repository["commit"]
        yield f"- {repository['url']} {f'at `{commit}`' if commit else 'was not checked out'}"
    if notebook:
        yield f"- notebook `{notebook['path']}`"
        yield from (f"- rule `{c['rule']}`: {c['what']}" for c in notebook["changes"])
    yield f"- {_versions(run, notebook)}"
    again = next((s["again"] for s in run["steps"] if s["name"] == cause["step"]), [])
    yield from _block("Command", "sh", [shlex.join(again)])


def _versions(run: RunJson, notebook: NotebookJson | None) -> str:
    known = {"stepkit": run["identity"]["stepkit"]}
    if notebook and (kernel := notebook["kernel"]):
        known |= {"Python": kernel["python"], "CUDA": kernel["cuda_runtime"], **kernel["packages"]}
    known["GPU"] = ", ".join(sorted({str(g.get("name")) for g in run["environment"]["gpus"]}))
    return ", ".join(f"{name} {version}" for name, version in known.items() if version)


def _block(title: str, language: str, lines: list[str]) -> Iterator[str]:
    """Yield a fenced block; its fence is longer than any run of backticks in it."""
    if any(lines):
        longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
        fence = "`" * max(3, longest + 1)
        yield from ("", f"{title}:", "", f"{fence}{language}", *lines, fence)
