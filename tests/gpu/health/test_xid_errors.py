"""A failure after the driver reported a broken GPU is not the notebook's."""

import pytest

from stepkit.errors import Evidence, Reason, StepError, ToolError, UserCodeError
from stepkit.gpu.health import xid_errors


def raised(ename: str = "CUDARuntimeError") -> StepError:
    evidence = Evidence(ename=ename, evalue="unspecified launch failure")
    return UserCodeError("cell 2 raised it", reason=Reason.CELL_ERROR, evidence=evidence)


@pytest.mark.parametrize("number", [48, 79, 94, 95])
def test_an_error_of_a_broken_gpu_is_infrastructure(number: int) -> None:
    error = raised()
    found = xid_errors.explained(error, [13, number, number])

    assert isinstance(found, ToolError)
    assert (found.reason, found.exit_code) == (Reason.GPU_FAILED, 4)
    assert found.evidence is error.evidence
    assert f"(the driver reports XID {number}, " in str(found)
    assert "cell 2 raised it; run on another node, and drain this one" in str(found)


@pytest.mark.parametrize(
    "error",
    [
        UserCodeError("the kernel was killed by SIGSEGV", reason=Reason.KERNEL_DIED),
        UserCodeError("cell 2 was stopped", reason=Reason.TIMEOUT),
        ToolError("the kernel hung", reason=Reason.KERNEL_HUNG),
    ],
)
def test_a_kernel_that_ends_or_hangs_on_a_broken_gpu_is_infrastructure(error: StepError) -> None:
    found = xid_errors.explained(error, [48])

    assert (found.reason, found.exit_code) == (Reason.GPU_FAILED, 4)


@pytest.mark.parametrize("xids", [[], [13, 31, 43]])
def test_xids_that_a_program_causes_change_nothing(xids: list[int]) -> None:
    error = raised()

    assert xid_errors.explained(error, xids) is error


@pytest.mark.parametrize(
    "error",
    [
        raised("KeyError"),
        ToolError("the kernel was killed by SIGKILL", reason=Reason.KERNEL_DIED),
        UserCodeError("3 cells never ran", reason=Reason.CELLS_NOT_RUN),
        ToolError("the OOM killer ended it", reason=Reason.OUT_OF_MEMORY),
    ],
)
def test_what_a_gpu_cannot_cause_stays_as_it_is(error: StepError) -> None:
    assert xid_errors.explained(error, [79]) is error
