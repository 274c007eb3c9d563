"""A notebook whose outputs are not those of the golden one fails, and the report shows both."""

from pathlib import Path

import junit_files
import pytest
from golden_notebooks import cell, printed, raised, write
from samples import write_notebook
from step_runs import failed, refused, run
from step_runs import printed as what_was_printed

from stepkit.errors import Reason, UserCodeError
from stepkit.step import Checks
from stepkit.steps.execute_notebook import Outputs


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    return write_notebook(tmp_path / "a.ipynb", "print('score', 0.5)", "print('done')")


def golden(directory: Path, score: float) -> Path:
    outputs = printed(f"score {score}\n")
    return write(
        directory / "golden/a.ipynb",
        cell("print('score', 0.5)", outputs),
        cell("print('done')", printed("done\n")),
    )


@pytest.mark.slow
def test_an_output_that_is_not_the_golden_one_fails_with_all_files_in_place(
    tmp_path: Path, notebook: Path
) -> None:
    kept = golden(tmp_path, 0.4)

    error = failed(notebook, golden=kept.parent, junit=tmp_path / "out/junit.xml")

    assert (type(error), error.reason) == (UserCodeError, Reason.OUTPUTS_DIFFER)
    assert str(error) == (
        f"cell 1 (`print('score', 0.5)`) differs from {kept}: stdout: 0.5 is not 0.4 (25 % off, "
        "rtol 1e-09)"
    )
    assert error.place
    assert (error.place.title, error.place.file) == ("cell 1", str(notebook))
    assert isinstance(error.outputs, Outputs)
    assert error.outputs.golden
    assert error.outputs.golden.cells == [1]
    assert error.outputs.test_output == Checks(successes=1, failures=1)
    assert what_was_printed(tmp_path / "out/executed.ipynb") == "score 0.5\ndone\n"
    log = (tmp_path / "out/papermill.log").read_text()
    assert "cell 1 (`print('score', 0.5)`), stdout" in log
    assert "-score 0.4" in log
    (suite,) = junit_files.suites(tmp_path / "out/junit.xml")
    assert [[result.type for result in case.result] for case in suite] == [["outputs-differ"], []]


@pytest.mark.slow
def test_rules_name_the_golden_notebook_and_what_may_differ(tmp_path: Path, notebook: Path) -> None:
    golden(tmp_path, 0.4)
    rules = tmp_path / "rules.yaml"
    rules.write_text("compare: {golden: golden/a.ipynb, rtol: 0.3}")

    outputs = run(notebook, rules=rules)

    assert outputs.message == (
        f"2 of 2 cells ran; 2 cells as in {tmp_path}/golden/a.ipynb, 1 value within the limits"
    )
    assert outputs.golden
    assert (outputs.golden.compared, outputs.golden.within) == (2, 1)


def test_a_golden_notebook_that_does_not_fit_is_refused_before_the_run(
    tmp_path: Path, notebook: Path
) -> None:
    kept = write(tmp_path / "golden.ipynb", cell("print('other')", printed("other\n")))

    assert "has other cells than" in refused(notebook, golden=kept)
    assert not (tmp_path / "out/executed.ipynb").exists()


@pytest.mark.slow
def test_a_run_that_is_compared_follows_the_markers_of_nbval(tmp_path: Path) -> None:
    sources = "# NBVAL_SKIP\n1/0", "# NBVAL_RAISES_EXCEPTION\nint('x')"
    notebook = write_notebook(tmp_path / "a.ipynb", *sources, "print(1)")
    kept = tmp_path / "golden.ipynb"
    error = raised("ValueError", "invalid literal for int() with base 10: 'x'")
    write(kept, cell(sources[0]), cell(sources[1], error), cell("print(1)", printed("1\n")))

    outputs = run(notebook, golden=kept)

    assert [(change.rule, change.cell) for change in outputs.changes] == [
        ("nbval-markers", 1),
        ("nbval-markers", 2),
    ]
    assert outputs.golden
    assert [each.cell for each in outputs.golden.ignored] == [1]


@pytest.mark.slow
def test_a_run_that_failed_is_not_compared(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "print(1)", "1/0")
    kept = write(tmp_path / "golden.ipynb", cell("print(1)", printed("2\n")), cell("1/0"))

    error = failed(notebook, golden=kept)

    assert error.reason == Reason.CELL_ERROR
    assert isinstance(error.outputs, Outputs)
    assert error.outputs.golden is None
