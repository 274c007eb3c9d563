"""Why a run did not pass, on a terminal: what decided, its evidence, and what to try."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stepkit.formats import evidence_text
from stepkit.report import reason_texts
from stepkit.report.fitting_remedies import fitting_remedies
from stepkit.report.terminal.words import line_of, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.report.run_json import CauseJson, RunJson
    from stepkit.report.run_json_notebook import ErrorJson, NotebookJson
    from stepkit.report.terminal.paint import Paint

_FAILED_LINE: Final = re.compile(r"\s*-+> \d")  # as IPython and evidence_text point to it


def why(run: RunJson, paint: Paint) -> Iterator[str]:
    """Yield the cause with its evidence, and what did not run."""
    cause = run["cause"]
    if cause:
        codes = f", exit code {cause['exit_code']}" if cause["exit_code"] is not None else ""
        said = line_of(f"{cause['step']} {cause['status']}: {cause['message']}")
        yield paint.strong(f"{said} [{line_of(cause['reason'])}{codes}]")
        if cause["notebook"] is not None:
            yield from _place(run, run["notebooks"][cause["notebook"]], cause["cell"])
        if cause["error"]:
            yield ""
            yield from _evidence(cause["error"], _where(run, cause), paint)
    if run["not_run"]:
        yield ""
        yield f"not run: {', '.join(map(line_of, run['not_run']))}"


def _evidence(error: ErrorJson, where: str, paint: Paint) -> Iterator[str]:
    """Yield the evidence, with the lines that failed in bold."""
    for line in evidence_text.lines(evidence_text.of_json(error), where=where):
        yield paint.strong(line) if _FAILED_LINE.match(line) else line


def _where(run: RunJson, cause: CauseJson) -> str:
    """Return what the evidence is of: the cell, the first test that failed, or the step."""
    if cause["notebook"] is not None and cause["cell"] is not None:
        notebook = run["notebooks"][cause["notebook"]]
        number = notebook["cells"][cause["cell"]]["number"]
        return f"cell {number} of {notebook['cells_total']}" if number else "an injected cell"
    failures = (test for tests in run["tests"] for test in tests["failures"])
    failed = next((test["name"] for test in failures if not test["allowed"]), "")
    of_tests = cause["step"] in {tests["step"] for tests in run["tests"]}
    return failed if failed and of_tests else cause["step"]


def _place(run: RunJson, notebook: NotebookJson, cell: int | None) -> Iterator[str]:
    if len(run["notebooks"]) > 1:
        yield line_of(f"{name_of(notebook)}: {notebook['message']}")
    if cell is not None:
        number = notebook["cells"][cell]["number"]
        anchor = f"#cell-{number}" if number else ""
        page = notebook["page"] or notebook["executed"]
        if page:
            yield line_of(f"in {page}{anchor if page == notebook['page'] else ''}")


def what_to_try(run: RunJson, paint: Paint) -> Iterator[str]:
    """Yield the remedies for the reason of the cause."""
    if run["cause"] and (remedies := fitting_remedies(run, run["cause"])):
        yield paint.strong("What to try")
        yield from reason_texts.bullets(remedies, paint.width)
