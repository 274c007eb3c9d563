import dataclasses
from collections.abc import Sequence

import pytest

from stepkit.errors import Evidence, Reason, StepError, ToolError, UserCodeError
from stepkit.notebook.verdict import CellRun, CellStatus, Ending, Execution, judge
from stepkit.step import Checks


def cells(
    *statuses: CellStatus, ename: str = "KeyError", evalue: str = "'pca'"
) -> Sequence[CellRun]:
    def cell(number: int, status: CellStatus) -> CellRun:
        failed = status == "error"
        return CellRun(
            number=number,
            index=number,
            id=f"c{number}",
            title=f"step_{number}()",
            status=status,
            error=Evidence(ename=ename, evalue=evalue) if failed else None,
        )

    return [cell(number, status) for number, status in enumerate(statuses, 1)]


def failure(execution: Execution) -> StepError:
    with pytest.raises(StepError) as caught:
        judge(execution)
    return caught.value


def test_passes_when_the_kernel_replied_ok_to_every_cell() -> None:
    assert judge(Execution(cells=cells("ok", "ok"), ending=Ending.FINISHED)) == "2 of 2 cells ran"


def test_passes_when_the_kernel_shut_itself_down_after_its_last_cell() -> None:
    execution = Execution(cells=cells("ok", "ok"), ending=Ending.KERNEL_DIED, exit_code=0)

    assert judge(execution) == "2 of 2 cells ran"


def test_counts_an_expected_error_as_run_and_says_so() -> None:
    execution = Execution(cells=cells("ok", "expected-error"), ending=Ending.FINISHED)

    assert judge(execution) == (
        "2 of 2 cells ran, 1 of them with an error that its tag raises-exception expects"
    )


def test_the_injected_parameters_do_not_count_as_a_cell_of_the_notebook() -> None:
    injected = CellRun(number=0, index=0, id="p", title="n = 1", status="ok")
    execution = Execution(cells=[injected, *cells("ok")], ending=Ending.FINISHED)

    assert judge(execution) == "1 of 1 cells ran"
    assert execution.checks() == Checks(successes=1)


def test_a_cell_with_other_outputs_counts_as_failed() -> None:
    execution = Execution(cells=cells("ok", "tolerated", "ok"), ending=Ending.FINISHED)

    assert execution.checks() == Checks(successes=2, warnings=1)
    assert execution.checks([2, 3]) == Checks(successes=1, failures=2)


def test_a_cell_error_names_the_cell_its_telling_line_and_the_error() -> None:
    error = failure(Execution(cells=cells("ok", "error", "not-run"), ending=Ending.FINISHED))

    assert type(error) is UserCodeError
    assert error.reason == Reason.CELL_ERROR
    assert str(error) == (
        "cell 2 of 3 (`step_2()`) raised KeyError: 'pca'; 1 cell after it did not run"
    )


def test_an_error_without_a_class_has_its_text_alone() -> None:
    run = cells("error", ename="", evalue="127")  # as the kernel of bash has it

    assert str(failure(Execution(cells=run, ending=Ending.FINISHED))) == (
        "cell 1 of 1 (`step_1()`) failed: 127"
    )


@pytest.mark.parametrize(
    ("evalue", "call"), [("0", "sys.exit(0)"), ("", "sys.exit()"), ("3", "sys.exit(3)")]
)
def test_an_early_exit_is_a_failure_even_with_code_0(evalue: str, call: str) -> None:
    ran = cells("ok", "error", "not-run", ename="SystemExit", evalue=evalue)
    error = failure(Execution(cells=ran, ending=Ending.FINISHED))

    assert type(error) is UserCodeError
    assert error.reason == Reason.EARLY_EXIT
    assert str(error) == (
        f"cell 2 of 3 (`step_2()`) ended the notebook early with {call}; "
        "1 cell after it did not run"
    )


def test_an_exit_in_the_last_cell_is_also_early() -> None:
    ran = cells("ok", "error", ename="SystemExit", evalue="0")

    assert failure(Execution(cells=ran, ending=Ending.FINISHED)).reason == Reason.EARLY_EXIT


def test_cells_that_never_ran_are_a_failure_with_its_own_reason() -> None:
    error = failure(Execution(cells=cells("ok", "not-run", "not-run"), ending=Ending.FINISHED))

    assert type(error) is UserCodeError
    assert error.reason == Reason.CELLS_NOT_RUN
    assert str(error) == "2 of 3 cells never ran: cell 2 of 3 (`step_2()`) is the first"


@pytest.mark.parametrize(
    ("exit_code", "oom_kills", "kind", "reason", "said"),
    [
        (-9, 0, ToolError, Reason.KERNEL_DIED,
         "the kernel was killed by SIGKILL in cell 2 of 3 (`step_2()`), sender unknown; 1 cell"),
        (-15, 0, ToolError, Reason.KERNEL_DIED, "was killed by SIGTERM"),
        (-1, 0, ToolError, Reason.KERNEL_DIED, "was killed by SIGHUP"),
        (-40, 0, UserCodeError, Reason.KERNEL_DIED, "was killed by signal 40 in cell 2"),
        (-9, 1, ToolError, Reason.OUT_OF_MEMORY, "at the container's limit of 2.0 GiB"),
        (-11, 0, UserCodeError, Reason.KERNEL_DIED,
         "was killed by SIGSEGV in cell 2 of 3 (`step_2()`); 1 cell"),
        (7, 0, UserCodeError, Reason.KERNEL_DIED, "exited by itself with code 7"),
        (None, 0, UserCodeError, Reason.KERNEL_DIED, "the kernel died"),
    ],
)  # fmt: skip
def test_the_verdict_on_a_dead_kernel_depends_on_who_ended_it(
    exit_code: int | None, oom_kills: int, kind: type[StepError], reason: Reason, said: str
) -> None:
    error = failure(
        Execution(
            cells=cells("ok", "stopped", "not-run"),
            ending=Ending.KERNEL_DIED,
            exit_code=exit_code,
            oom_kills=oom_kills,
            memory_limit=2 * 2**30,
        )
    )

    assert type(error) is kind
    assert error.reason == reason
    assert said in str(error)
    assert "cell 2 of 3 (`step_2()`)" in str(error)
    assert str(error).endswith("; 1 cell after it did not run")


@pytest.mark.parametrize("oom_kills", [0, 1])
def test_a_kernel_that_killed_itself_is_not_worth_a_second_try(oom_kills: int) -> None:
    error = failure(
        Execution(
            cells=cells("stopped"),
            ending=Ending.KERNEL_DIED,
            exit_code=-9,
            killed_itself=True,
            oom_kills=oom_kills,
        )
    )

    assert (type(error), error.reason) == (UserCodeError, Reason.KERNEL_DIED)
    assert str(error) == "the kernel killed itself with SIGKILL in cell 1 of 1 (`step_1()`)"


@pytest.mark.parametrize(
    ("evidence", "named"),
    [
        (Evidence(source="load()\nstep_1()"), "with the line `step_1()`"),
        (Evidence(source="load()\nstep_1()", line=2), "`step_1()`"),
        (Evidence(source="step_1()"), "`step_1()`"),
    ],
)
def test_a_line_is_not_named_as_the_one_that_ran_unless_that_is_known(
    evidence: Evidence, named: str
) -> None:
    (cell,) = cells("stopped")
    ended = [dataclasses.replace(cell, error=evidence)]

    error = failure(Execution(cells=ended, ending=Ending.KERNEL_DIED, exit_code=-11))

    assert str(error) == f"the kernel was killed by SIGSEGV in cell 1 of 1 ({named})"


@pytest.mark.parametrize(
    ("ending", "kind", "said"),
    [
        (Ending.CELL_TIMEOUT, UserCodeError, "was stopped after 90 s (--execution-timeout)"),
        (Ending.RUN_TIMEOUT, UserCodeError, "the run was stopped after 90 s (--run-timeout)"),
        (Ending.OUTPUT_TIMEOUT, ToolError, "did not arrive within 90 s"),
    ],
)
def test_a_time_limit_says_which_and_how_long(
    ending: Ending, kind: type[StepError], said: str
) -> None:
    error = failure(Execution(cells=cells("stopped", "not-run"), ending=ending, limit=90))

    assert type(error) is kind
    assert error.reason == Reason.TIMEOUT
    assert said in str(error)
    assert "cell 1 of 2 (`step_1()`)" in str(error)


def test_names_the_tolerated_errors_before_anything_else() -> None:
    execution = Execution(cells=cells("ok", "tolerated"), ending=Ending.FINISHED)

    assert judge(execution) == "passed with 1 tolerated error: 2 of 2 cells ran"


def test_a_tolerated_error_does_not_excuse_another_one() -> None:
    error = failure(Execution(cells=cells("tolerated", "error"), ending=Ending.FINISHED))

    assert (type(error), error.reason) == (UserCodeError, Reason.CELL_ERROR)


@pytest.mark.parametrize(("lost", "said"), [(1, "1 message of the kernel was"),
                                            (3, "3 messages of the kernel were")])  # fmt: skip
def test_says_how_many_messages_were_lost(lost: int, said: str) -> None:
    execution = Execution(cells=cells("ok"), ending=Ending.FINISHED, messages_lost=lost)

    assert judge(execution) == f"1 of 1 cells ran; {said} lost: outputs are incomplete"


def test_a_hung_kernel_may_work_the_next_time() -> None:
    execution = Execution(cells=cells("ok", "stopped"), ending=Ending.HUNG, limit=600)

    error = failure(execution)

    assert (type(error), error.reason) == (ToolError, Reason.KERNEL_HUNG)
    assert str(error) == (
        "the kernel hung in cell 2 of 2 (`step_2()`): no output and no work of CPU or GPU for "
        "600 s (--hang-timeout)"
    )
