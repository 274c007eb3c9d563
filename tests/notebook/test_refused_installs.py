"""A refused installation explains the import that fails after it."""

import pytest
from nbformat import v4

from stepkit.errors import Evidence, Reason, StepError, UserCodeError
from stepkit.notebook.refused_installs import explained
from stepkit.notebook.verdict import CellRun

# As pip 23.2 and uv 0.13 print it, and conda's source has it, for a user who may not write there.
PIP = """\
Defaulting to user installation because normal site-packages is not writeable
Installing collected packages: squidpy
ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: '/.local'
Check the permissions.
"""
READ_ONLY = """\
ERROR: Could not install packages due to an OSError: [Errno 30] Read-only file system: '/opt/conda'
"""
UV = """\
error: Failed to install: squidpy-1-py3-none-any.whl (squidpy==1)
  cause: Failed to create directory `/usr/lib/squidpy`
  cause: failed to create directory `/usr/lib/squidpy`: Permission denied (os error 13)
"""
CONDA = """
EnvironmentNotWritableError: The current user does not have write permissions
  environment location: /opt/conda
"""
SHELL = "/bin/bash: line 1: /opt/conda/envs/rapids/bin/pip: Permission denied\n"
WORDS = "cell 2 of 2 (`import squidpy`) raised ModuleNotFoundError: No module named 'squidpy'"


def after(printed: str, error: StepError) -> StepError:
    """Explain the error of a second cell, after a first one that printed something."""
    first = v4.new_code_cell("!pip install squidpy")
    first.outputs = [v4.new_output("stream", name="stdout", text=printed)]
    second = v4.new_code_cell("import squidpy")
    # papermill puts a cell without outputs before those of a notebook that failed.
    nb = v4.new_notebook(cells=[v4.new_markdown_cell("failed"), first, second])
    cells = [
        CellRun(number=number, index=number, id=cell.id, title="", status="ok")
        for number, cell in ((1, first), (2, second))
    ]
    return explained(error, cells, nb)


def missing(ename: str = "ModuleNotFoundError") -> UserCodeError:
    evidence = Evidence(ename=ename, evalue="No module named 'squidpy'")
    return UserCodeError(WORDS, reason=Reason.CELL_ERROR, evidence=evidence)


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        (PIP, "[Errno 13] Permission denied: '/.local'"),
        (READ_ONLY, "[Errno 30] Read-only file system: '/opt/conda'"),
        (UV, "failed to create directory `/usr/lib/squidpy`: Permission denied (os error 13)"),
        (
            CONDA,
            "EnvironmentNotWritableError: The current user does not have write permissions",
        ),
        (SHELL, "/opt/conda/envs/rapids/bin/pip: Permission denied"),
    ],
    ids=["pip", "read-only", "uv", "conda", "shell"],
)
def test_the_cell_whose_installation_was_refused_is_named(printed: str, why: str) -> None:
    found = after(printed, missing())

    assert isinstance(found, UserCodeError)
    assert str(found) == f"{WORDS}; cell 1 could not install packages: {why}"
    assert (found.reason, found.evidence) == (Reason.CELL_ERROR, missing().evidence)


@pytest.mark.parametrize(
    ("printed", "error"),
    [
        ("Successfully installed squidpy-1.6\n", missing()),
        (PIP, missing("KeyError")),
        (PIP, UserCodeError("2 of 2 cells never ran")),
    ],
    ids=["installed", "another error", "no error of a cell"],
)
def test_an_error_that_does_not_follow_stays_as_it_is(printed: str, error: StepError) -> None:
    assert after(printed, error) is error
