"""What a hurt run left, held against what stepkit promises."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import nbformat

from benchmarks import processes, tally

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.kills import Scenario, Stage
    from benchmarks.poller import Poller
    from benchmarks.tally import Tally

_STOP_SECONDS: Final = 10.0  # the longest that an asked run may take to end
_ENDING_SECONDS: Final = 1.5  # a run that was asked to stop while it ended may as well succeed
_TIDY_SECONDS: Final = 2.0
_ORPHAN_SECONDS: Final = 15.0
_STATUSES: Final = {0: {"succeeded", "tolerated"}, 130: {"cancelled"}, 143: {"cancelled"}}
_ALLOWED: Final = {"out.ipynb", "papermill.log", "filler"}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One round: what was done, how the runner ended, and every promise that it broke.

    ``left_workers`` counts processes of the notebook that outlived a killed runner and
    ``left_files`` what it could not remove: facts, not faults. ``log`` is the end of what a bad
    run logged.
    """

    number: int
    scenario: str
    deed: str
    code: int | None
    seconds_to_end: float | None
    reads: int
    contents: int
    left_workers: int = 0
    left_files: tuple[str, ...] = ()
    next_run: str = ""
    log: str = ""
    problems: tuple[str, ...] = field(default=())


def judge(scenario: Scenario, stage: Stage, poller: Poller, code: int | None) -> Iterator[str]:
    """Yield each promise that a run broke, given its exit code and what a reader saw."""
    hurt = stage.done_at is not None
    if code is None:
        yield "it never ended"
        return
    found, problem = _notebook(stage)
    if problem:
        yield problem
    yield from _seen(poller, found)
    yield from _code(scenario, stage, code, found, hurt=hurt)
    if scenario.orderly and code >= 0:
        yield from _report(scenario, stage, code, found)


def late(scenario: Scenario, code: int | None, took: float | None) -> Iterator[str]:
    """Yield what is wrong with the ``took`` seconds that a run needed after a signal."""
    if not scenario.asks or took is None or code is None:
        return
    if code == 0 and took > _ENDING_SECONDS:
        yield f"it went on for {took:.1f} s as if it had not been asked to stop"
    elif took > _STOP_SECONDS:
        yield f"it took {took:.1f} s to stop"


def left_processes(scenario: Scenario, stage: Stage) -> tuple[list[str], int]:
    """Return the broken promises about processes, and how many workers outlived their runner."""
    if processes.gone(stage.mark, _TIDY_SECONDS if scenario.orderly else 0.0):
        return [], 0
    kernel = processes.is_kernel
    if not scenario.orderly:  # the kernel notices, its workers may not
        processes.until(lambda: not any(map(kernel, processes.marked(stage.mark))), _ORPHAN_SECONDS)
    left = processes.marked(stage.mark)
    kernels = [pid for pid in left if kernel(pid)]
    processes.kill_marked(stage.mark)
    problems = [f"{len(kernels)} kernel still runs"] if kernels else []
    if scenario.orderly and len(left) > len(kernels):
        problems.append(f"{len(left) - len(kernels)} processes of the notebook still run")
    return problems, len(left) - len(kernels)


def left_files(stage: Stage) -> tuple[str, ...]:
    """Return what is beside the output, or in the directory for temporary files."""
    beside = [path.name for path in stage.output.parent.iterdir() if path.name not in _ALLOWED]
    return tuple(sorted(beside) + sorted(f"tmp/{path.name}" for path in stage.scratch.iterdir()))


def _notebook(stage: Stage) -> tuple[Tally | None, str]:
    """Return what the output holds, None if there is none, and why it is not whole."""
    try:
        content = json.loads(stage.output.read_bytes())
        nbformat.validate(nbformat.from_dict(content))
    except FileNotFoundError:
        return None, ""
    except ValueError as error:
        return None, f"the output is no whole JSON: {error}"
    except nbformat.ValidationError as error:
        return None, f"the output is no valid notebook: {str(error).splitlines()[0]}"
    never = [
        cell["id"]
        for cell in content["cells"]
        if cell["cell_type"] == "code"
        and cell["metadata"].get("papermill", {}).get("status") == "completed"
        and cell["execution_count"] is None
    ]
    wrong = f"cells are `completed` that never ran: {', '.join(never[:3])}" if never else ""
    return tally.of_notebook(content), wrong


def _seen(poller: Poller, found: Tally | None) -> Iterator[str]:
    if poller.torn:
        yield f"a reader saw {poller.torn} torn contents"
    if poller.older:
        yield f"a reader saw it go back: {poller.older}"
    if poller.contents and found is None:
        yield "what a reader saw is gone"
    elif found and (older := poller.newest.lacks(found)):
        yield f"older than what a reader saw: {older}"


def _code(
    scenario: Scenario, stage: Stage, code: int, found: Tally | None, *, hurt: bool
) -> Iterator[str]:
    if code == 0:
        lost = stage.expected.differs(found) if found else "no output"
        if lost:
            yield f"exit code 0, but {lost}"
    elif not hurt or code not in scenario.codes | scenario.early:
        yield f"exit code {code}, promised {sorted(scenario.codes)}"
    elif code in scenario.early and code not in scenario.codes and found is not None:
        yield f"exit code {code} after the notebook was begun"


def _report(scenario: Scenario, stage: Stage, code: int, found: Tally | None) -> Iterator[str]:
    try:
        report: dict[str, Any] = json.loads(stage.report.read_bytes())
    except (OSError, ValueError) as error:
        yield f"no report: {error}"
        return
    if report["exit_code"] != code:
        yield f"the report says exit code {report['exit_code']}, it was {code}"
    if report["status"] not in _STATUSES.get(code, {"failed"}):
        yield f"the report says {report['status']} for exit code {code}"
    if report["reason"] not in ({"ok"} if code == 0 else scenario.reasons):
        yield f"the report says {report['reason']}: {report['message']}"
    ran = (report["outputs"] or {}).get("cells_run")
    if ran is not None and found and not found.cells - 1 <= ran:
        yield f"the report counts {ran} cells, the notebook has {found.cells}"
    if ran is not None and found and ran > found.cells and code != 4:  # noqa: PLR2004 - disk full
        yield f"the report counts {ran} cells, the notebook has only {found.cells}"
