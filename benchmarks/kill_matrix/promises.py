"""Check what a hurt run left against what stepkit promises."""

import json
from collections.abc import Iterator
from typing import Any, Final

import nbformat

from benchmarks import contents, process
from benchmarks.contents import Contents
from benchmarks.kill_matrix.scenarios import Round, Scenario
from benchmarks.readers import Reader

_STOP_SECONDS: Final = 10.0  # the longest that an asked run may take to end
_ENDING_SECONDS: Final = 1.5  # a run that was asked to stop while it ended may as well succeed
_STATUSES: Final = {0: {"succeeded", "tolerated"}, 130: {"cancelled"}, 143: {"cancelled"}}
_ALLOWED: Final = {
    "out.ipynb", "out.timeline.json.gz", "out.progress.json", "papermill.log", "filler",
}  # fmt: skip


def find_broken(scenario: Scenario, now: Round, reader: Reader, code: int | None) -> Iterator[str]:
    """Yield each promise that a run broke, given its exit code and what a reader saw."""
    if code is None:
        yield "it never ended"
        return
    found, problem = _read_notebook(now)
    if problem:
        yield problem
    yield from _check_against_reader(reader, found)
    if code == 0:
        if lost := now.expected.differs(found) if found else "no output":
            yield f"exit code 0, but {lost}"
    elif scenario.asked and code == -scenario.asked and now.done_at is not None:
        if found is not None:
            yield f"exit code {code} after the notebook was begun"
    elif now.done_at is None or code != scenario.code:
        yield f"exit code {code}, promised [{scenario.code}]"
    if scenario.orderly and code >= 0:
        yield from _check_report(scenario, now, code, found)


def _read_notebook(now: Round) -> tuple[Contents | None, str]:
    """Return what the output holds, None if there is none, and what is wrong with it."""
    try:
        notebook = json.loads(now.output.read_bytes())
        nbformat.validate(nbformat.from_dict(notebook))
    except FileNotFoundError:
        return None, ""
    except ValueError as error:
        return None, f"the output is not whole JSON: {error}"
    except nbformat.ValidationError as error:
        return None, f"the output is not a valid notebook: {str(error).splitlines()[0]}"
    never = [
        cell["id"]
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
        and cell["metadata"].get("papermill", {}).get("status") == "completed"
        and cell["execution_count"] is None
    ]
    wrong = f"cells are `completed` that never ran: {', '.join(never[:3])}" if never else ""
    return contents.of_notebook(notebook), wrong


def _check_against_reader(reader: Reader, found: Contents | None) -> Iterator[str]:
    if reader.torn:
        yield f"a reader saw {reader.torn} torn contents"
    if reader.older:
        yield f"a reader saw it go back: {reader.older}"
    if reader.contents and found is None:
        yield "what a reader saw is gone"
    elif found and (older := reader.newest.lacks(found)):
        yield f"older than what a reader saw: {older}"


def _check_report(
    scenario: Scenario, now: Round, code: int, found: Contents | None
) -> Iterator[str]:
    try:
        report: dict[str, Any] = json.loads(now.report.read_bytes())
    except (OSError, ValueError) as error:
        yield f"no report: {error}"
        return
    if report["exit_code"] != code:
        yield f"the report says exit code {report['exit_code']}, it was {code}"
    if report["status"] not in _STATUSES.get(code, {"failed"}):
        yield f"the report says {report['status']} for exit code {code}"
    if report["reason"] != ("ok" if code == 0 else scenario.reason):
        yield f"the report says {report['reason']}: {report['message']}"
    ran = (report["outputs"] or {}).get("cells_run")
    if ran is not None and found and not found.cells - 1 <= ran:
        yield f"the report counts {ran} cells, the notebook has {found.cells}"
    if ran is not None and found and ran > found.cells and code != 4:  # noqa: PLR2004 - disk full
        yield f"the report counts {ran} cells, the notebook has only {found.cells}"


def find_late(scenario: Scenario, code: int | None, took: float | None) -> Iterator[str]:
    """Yield what is wrong with the ``took`` seconds that a run needed after a signal."""
    if not scenario.asked or took is None or code is None:
        return
    if code == 0 and took > _ENDING_SECONDS:
        yield f"it went on for {took:.1f} s as if it had not been asked to stop"
    elif took > _STOP_SECONDS:
        yield f"it took {took:.1f} s to stop"


def end_processes(scenario: Scenario, now: Round) -> tuple[list[str], int]:
    """Return the broken promises about processes, and how many workers outlived their runner."""
    if process.wait_until(lambda: not process.marked(now.mark), 2 if scenario.orderly else 0):
        return [], 0
    if not scenario.orderly:  # the kernel notices, its workers may not
        process.wait_until(lambda: not process.kernels(now.mark), 15)
    left = process.kernels(now.mark)
    workers = len(process.marked(now.mark)) - len(left)
    process.kill_marked(now.mark)
    problems = [f"{len(left)} kernel still runs"] if left else []
    if scenario.orderly and workers > 0:
        problems.append(f"{workers} processes of the notebook still run")
    return problems, workers


def list_files(now: Round) -> tuple[str, ...]:
    """Return what is beside the output, or in the directory for temporary files."""
    beside = [path.name for path in now.output.parent.iterdir() if path.name not in _ALLOWED]
    return tuple(sorted(beside) + sorted(f"tmp/{path.name}" for path in now.scratch.iterdir()))
