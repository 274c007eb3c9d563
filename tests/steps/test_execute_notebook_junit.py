"""What the JUnit file says of notebooks that fail, each in another way: it is the verdict."""

from pathlib import Path
from typing import Any

import pytest
from junit_files import cases, kind, suites
from samples import write_notebook
from step_runs import failed

from stepkit.errors import StepError
from stepkit.steps.execute_notebook import Outputs

FAILING = Path(__file__).parents[2] / "examples/notebooks-repository/notebooks/failing"
DEEP = "def a():\n    b()\ndef b():\n    c()\ndef c():\n    {}['pca']\na()"
KILL = "import os, subprocess; subprocess.run(['kill', '-9', str(os.getpid())])"


def agree(error: StepError, junit: Path) -> tuple[str, str]:
    """Check that the file counts as the verdict does; return kind and text of what failed."""
    outputs = error.outputs
    assert isinstance(outputs, Outputs)
    assert outputs.test_output
    (suite,) = suites(junit)
    statuses = [cell.status for cell in outputs.cells]
    assert suite.tests == outputs.cells_total == len(statuses)
    assert suite.failures + suite.errors == outputs.test_output.failures == 1
    assert suite.skipped == statuses.count("not-run")
    assert suite.tests - suite.skipped - 1 == outputs.cells_run == outputs.test_output.successes
    (bad,) = [case for case in suite if case.result and kind(case.result[0]) != "skipped"]
    place = f"cell {[s in ('error', 'stopped') for s in statuses].index(True) + 1}"
    assert bad.name.startswith(f"{place}: ")
    assert place in str(error)
    return kind(bad.result[0]), bad.result[0].text or ""


@pytest.mark.slow
@pytest.mark.parametrize(
    "notebook",
    [path for path in sorted(FAILING.glob("*.ipynb")) if path.stem != "failed_tests"],
    ids=lambda path: path.stem,
)
def test_the_failing_examples_have_the_verdict_as_their_counts(
    tmp_path: Path, notebook: Path
) -> None:
    copy = tmp_path / notebook.name
    copy.write_bytes(notebook.read_bytes())
    junit = tmp_path / "cells.xml"

    error = failed(copy, junit=junit, execution_timeout=5.0)

    found, text = agree(error, junit)
    assert found == ("error" if notebook.stem in {"killed_kernel", "time_limit"} else "failure")
    assert text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "options", "how", "shown"),
    [
        (DEEP, {}, "failure", "KeyError: 'pca'"),
        ("%%time\nx = 1\n{}['pca']", {}, "failure", "KeyError: 'pca'"),
        ("x = (1", {}, "failure", "SyntaxError"),
        ("import sys; sys.exit(0)", {}, "failure", "SystemExit"),
        (KILL, {}, "error", "killed by SIGKILL"),
        ("import os; print('bye'); os._exit(7)", {}, "error", "exited by itself with code 7"),
        ("import time; time.sleep(60)", {"execution_timeout": 1.5}, "error", "--execution-timeout"),
        ("import time; time.sleep(60)", {"run_timeout": 3.0}, "error", "--run-timeout"),
        ("print('\\x1b[31m]]>&<\\x00\\ufffe'); 1/0", {}, "failure", "ZeroDivisionError"),
    ],
    ids=["deep", "magic", "syntax", "exit", "killed", "exited", "cell-limit", "run-limit", "odd"],
)
def test_each_way_to_fail_has_the_verdict_as_its_counts_and_shows_why(
    tmp_path: Path, source: str, options: dict[str, Any], how: str, shown: str
) -> None:
    junit = tmp_path / "cells.xml"
    notebook = write_notebook(tmp_path / "a.ipynb", "1", source, "3", "4")

    error = failed(notebook, junit=junit, **options)

    found, text = agree(error, junit)
    assert found == how
    assert shown in text
    (suite,) = suites(junit)
    assert [end for _, end, _ in cases(suite)] == ["", how, "skipped", "skipped"]
