"""A failure is shown as pytest shows one: the code, where it is, further frames, the error."""

import pytest

from stepkit.errors import Evidence, Place, ToolError, UserCodeError
from stepkit.pytest_plugin import failure_text


@pytest.mark.parametrize(
    ("evidence", "shown"),
    [
        (
            Evidence(ename="Error", evalue="in f\nno x", source="a\nb\nc", line=2,
                     traceback="Error in f() : no x\n1. f()"),
            ["    a", ">   b", "", "a.ipynb:7: cell 1", "", "Error in f() : no x", "1. f()",
             "E   Error: in f", "E   no x", "", "it failed"],
        ),
        (
            Evidence(source="wait()", output=("half \x1b[31mway", "there"),
                     stack="Thread 1\n  wait"),
            ["    wait()", "", "a.ipynb:7: cell 1", "", "last lines of its output:",
             "    half way", "    there", "", "where its threads were:", "Thread 1", "  wait",
             "", "it failed"],
        ),
    ],
    ids=["a kernel that is not IPython", "a cell that was stopped"],
)  # fmt: skip
def test_what_is_known_is_shown(evidence: Evidence, shown: list[str]) -> None:
    place = Place(title="cell 1", file="a.ipynb", line=7)
    error = UserCodeError("it failed", evidence=evidence, place=place)

    assert failure_text.text(error, (), str(error)).split("\n") == shown


def test_an_error_without_evidence_is_its_message() -> None:
    assert failure_text.text(ToolError("no disk"), (), "no disk") == "no disk"
