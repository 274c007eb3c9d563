"""Write results and report: what was written last is true, or nothing is there."""

from __future__ import annotations

import dataclasses
import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from stepkit.cli import step_report, tekton_results
from stepkit.errors import Reason, StepError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from stepkit.cli.destinations import Destinations
    from stepkit.step import StepResult

logger = logging.getLogger(__name__)

Problem = tuple["Path | None", StepError]  # the file that cannot be written, if it is one


def begin(result: StepResult, to: Destinations) -> None:
    """Write what is true until the step ends: a step that is killed leaves it behind.

    A result that is a pipe or a device gets its final value only. Raises :class:`StepError` when
    results or report cannot be written.
    """
    for _, problem in _write_files(result, to):
        raise problem


def write(result: StepResult, to: Destinations) -> StepResult:
    """Write how the step ended, and return what was written.

    What cannot be written makes a success a failure, and does not hide why a step failed. No file
    is left in the place of one that cannot be written: an earlier text would not be true. On a
    full disk, a short report takes the place of the one that the step began with.
    """
    for write_some in (_write_files, _write_pipes):  # what was sent to a pipe stays as it is
        if problems := [problem for _, problem in write_some(result, to)]:
            result = _failed(result, problems)
            for path, problem in _write_files(result, to):
                with suppress(OSError):
                    if path and path.is_file() and not _overwritten(result, to, path, problem):
                        path.unlink()
    return result


def _overwritten(result: StepResult, to: Destinations, path: Path, problem: StepError) -> bool:
    full = problem.reason is Reason.DISK_FULL and path in to.reports
    return full and step_report.overwrite(result, path, to.secrets)


def fail(result: StepResult, to: Destinations, problem: StepError) -> StepResult:
    """Write that a step failed whose report or answer on stdout was lost."""
    return write(_failed(result, [problem]), to)


def _failed(result: StepResult, problems: Sequence[StepError]) -> StepResult:
    if not result.exit_code:
        problem, *problems = problems
        result = dataclasses.replace(
            result,
            status="failed",
            reason=problem.reason,
            message=f"{problem}; the step itself {result.status}",
            exit_code=problem.exit_code,
        )
    for problem in problems:
        if str(problem) not in result.message:
            logger.error("%s", problem)
    return result


def _write_files(result: StepResult, to: Destinations) -> Iterator[Problem]:
    """Write what is a file; yield each that cannot be written, and why."""
    yield from _write_results(result, to, pipes=False)
    for path in to.reports:
        try:
            step_report.write_report(result, path, to.secrets)
        except StepError as error:
            yield path, error


def _write_pipes(result: StepResult, to: Destinations) -> Iterator[Problem]:
    return _write_results(result, to, pipes=True)


def _write_results(result: StepResult, to: Destinations, *, pipes: bool) -> Iterator[Problem]:
    try:
        contents = tekton_results.encode(result, to.results, to.secrets)
    except StepError as error:
        yield None, error
        small = dataclasses.replace(result, outputs={})
        contents = tekton_results.encode(small, to.results, to.secrets)
    for path, content in contents:
        if _is_pipe(path) == pipes:
            try:
                tekton_results.write(path, content)
            except StepError as error:
                yield path, error


def _is_pipe(path: Path) -> bool:
    return os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path))  # noqa: PTH110, PTH112, PTH113 - none raises
