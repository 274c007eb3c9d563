"""Runs of a notebook by the step execute-notebook, in this process."""

from pathlib import Path
from typing import Any

import nbformat
import pytest

from stepkit.errors import ConfigurationError, Reason, StepError
from stepkit.steps import execute_notebook
from stepkit.steps.execute_notebook import Options, Outputs


def run(notebook: Path, **more: Any) -> Outputs:
    """Execute ``notebook`` to ``out/executed.ipynb`` beside it."""
    output = notebook.parent / "out/executed.ipynb"
    return execute_notebook.run(Options(notebook=notebook, output=output, **more))


def failed(notebook: Path, **more: Any) -> StepError:
    """Execute ``notebook``, which must fail; return the error."""
    with pytest.raises(StepError) as caught:
        run(notebook, **more)
    return caught.value


def refused(notebook: Path, *, reason: Reason | None = None, **more: Any) -> str:
    """Execute ``notebook``, which is refused with a ConfigurationError; return its message."""
    error = failed(notebook, **more)
    assert type(error) is ConfigurationError
    assert reason in {None, error.reason}
    return str(error)


def printed(path: Path) -> str:
    """Return all that the cells of an executed notebook printed; the notebook must be valid."""
    nb = nbformat.read(path, as_version=4)
    nbformat.validate(nb)
    return "".join(out.get("text", "") for cell in nb.cells for out in cell.get("outputs", []))
