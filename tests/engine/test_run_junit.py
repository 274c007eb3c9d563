from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest
from junit_files import cases, suites

from stepkit.engine import run_junit
from stepkit.errors import (
    Cancelled,
    ConfigurationError,
    Evidence,
    Reason,
    StepError,
    ToolError,
    UserCodeError,
)
from stepkit.notebook.verdict import CellRun, CellStatus

NOTEBOOK = "source/a.ipynb"


@dataclass(frozen=True, kw_only=True)
class Outputs:
    cells: tuple[CellRun, ...] = ()
    cells_total: int = 1
    message: str = "1 of 1 cells ran"
    junit: Path | None = None


def outputs(status: CellStatus = "ok") -> Outputs:
    error = Evidence(ename="KeyError", evalue="1") if status == "error" else None
    return Outputs(
        cells=(CellRun(number=1, index=0, id="a", title="x", status=status, error=error),)
    )


def raising(error: BaseException) -> NoReturn:
    raise error


def only_case(path: Path) -> tuple[str, str, str]:
    (suite,) = suites(path)
    assert suite.name == "source/a.ipynb"
    (case,) = cases(suite)
    return case


def test_a_run_without_the_flag_writes_nothing(tmp_path: Path) -> None:
    assert run_junit.around(None, NOTEBOOK, outputs).junit is None
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_passes_names_the_file_that_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "new/cells.xml"

    assert run_junit.around(path, NOTEBOOK, outputs).junit == path

    assert only_case(path) == ("cell 1: x", "", "")


def test_while_it_runs_the_file_says_that_it_never_ended(tmp_path: Path) -> None:
    path = tmp_path / "cells.xml"
    run_junit.around(path, NOTEBOOK, outputs)

    def run() -> Outputs:
        message = "started and never ended: killed from outside"
        assert only_case(path) == ("the whole run", "error", message)
        return outputs()

    run_junit.around(path, NOTEBOOK, run)


def test_a_run_that_fails_writes_its_cells_and_keeps_its_error(tmp_path: Path) -> None:
    path = tmp_path / "cells.xml"
    error = UserCodeError("cell 1 raised KeyError", outputs=outputs("error"))

    with pytest.raises(UserCodeError) as caught:
        run_junit.around(path, NOTEBOOK, lambda: raising(error))

    assert caught.value is error
    assert isinstance(caught.value.outputs, Outputs)
    assert caught.value.outputs.junit == path
    assert only_case(path) == ("cell 1: x", "failure", "KeyError: 1")


def test_a_run_that_is_refused_before_its_first_cell_writes_why(tmp_path: Path) -> None:
    path = tmp_path / "cells.xml"
    error = ConfigurationError("there is no notebook", reason=Reason.NOT_FOUND)

    with pytest.raises(ConfigurationError):
        run_junit.around(path, NOTEBOOK, lambda: raising(error))

    assert only_case(path) == ("the whole run", "error", "there is no notebook")


def test_a_run_that_is_stopped_writes_the_cell_that_was_running(tmp_path: Path) -> None:
    path = tmp_path / "cells.xml"
    stop = Cancelled(15, outputs=outputs("stopped"))

    with pytest.raises(Cancelled):
        run_junit.around(path, NOTEBOOK, lambda: raising(stop))

    assert only_case(path) == ("cell 1: x", "error", "stopped by SIGTERM")


def test_a_file_that_cannot_be_written_is_refused_before_the_first_cell(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StepError, match=r"cannot write .*file/cells\.xml"):
        run_junit.around(tmp_path / "file/cells.xml", NOTEBOOK, lambda: raising(AssertionError()))


@pytest.mark.parametrize("error", [None, ToolError("the kernel died", outputs=outputs())])
def test_a_file_that_cannot_be_written_in_the_end_fails_a_run_that_passed_alone(
    tmp_path: Path, error: ToolError | None
) -> None:
    path = tmp_path / "cells.xml"

    def run() -> Outputs:
        path.unlink()
        path.mkdir()
        return raising(error) if error else outputs()

    with pytest.raises(StepError) as caught:
        run_junit.around(path, NOTEBOOK, run)

    said = "the kernel died" if error else f"1 of 1 cells ran, but: cannot write {path}"
    assert str(caught.value).startswith(said)
    assert isinstance(caught.value.outputs, Outputs)
    assert caught.value.outputs.junit is None
