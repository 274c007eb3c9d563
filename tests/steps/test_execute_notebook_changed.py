"""Rules, variants, tolerance and the page, through the step: each test runs a kernel."""

import logging
from pathlib import Path
from typing import Any

import blueprint_notebooks
import nbformat
import pytest
from bs4 import BeautifulSoup
from junit_files import cases, suites
from samples import write_notebook
from step_runs import failed, printed, refused, run

from stepkit.errors import Reason, UserCodeError
from stepkit.step import Checks
from stepkit.steps.execute_notebook import Outputs

RULES = """\
rules:
  - set: {path: /data/x}
tolerate:
  - {ename: KeyError, evalue: pca, reason: no PCA upstream}
variants:
  lite:
    suffix: _lite
    parameters: {n: 2}
    rules:
      - replace: "* 10"
        with: "* 2"
"""
SHUTDOWN = "import IPython\nIPython.Application.instance().kernel.do_shutdown(True)"


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    sources = ["n = 1", "path = '/home/me/x'  # mine", "print(n * 10, path)", "{}['pca']", SHUTDOWN]
    return write_notebook(tmp_path / "a.ipynb", *sources, tags={0: ["parameters"]})


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return path


@pytest.mark.parametrize(
    "options", [{"variant": "lite"}, {"on_gpu_oom": "retry-lower", "gpu_oom_variant": "lite"}]
)
def test_a_variant_that_would_rename_an_exact_output_is_refused_before_the_first_cell(
    tmp_path: Path, rules: Path, options: dict[str, Any]
) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "n = 1\nopen('ran', 'w').close()")

    message = refused(notebook, rules=rules, exact_output=True, **options)

    assert message == (
        "variant lite has suffix _lite, but the other steps of this run read executed.ipynb: "
        "set param suffix to _lite, or the variant's suffix to the run's"
    )
    assert not (tmp_path / "ran").exists()


def test_a_variant_changes_the_run_and_not_the_notebook(
    notebook: Path, rules: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = notebook.read_bytes()
    caplog.set_level("INFO")

    junit = notebook.parent / "cells.xml"
    page = notebook.parent / "out/page.html"
    outputs = run(notebook, rules=rules, variant="lite", page=page, junit=junit)

    assert (outputs.status, outputs.tolerated, outputs.variant) == ("tolerated", 1, "lite")
    passed = "passed with 1 tolerated error: 4 of 5 cells ran, 1 skipped by rules"
    assert outputs.message == passed
    assert caplog.messages[-2:] == [
        "tolerated: cell 4 of 5 (`{}['pca']`) raised KeyError: 'pca': no PCA upstream",
        f"verdict: {outputs.message}",
    ]
    assert outputs.notebook.name == "executed_lite.ipynb"
    assert printed(outputs.notebook) == "4 /data/x\n"
    assert outputs.page == notebook.parent / "out/page_lite.html"
    assert "/data/x" in outputs.page.read_text()
    assert notebook.read_bytes() == before
    rules_used = [change.rule for change in outputs.changes]
    assert rules_used == ["set path", "replace", "strip-kernel-shutdown"]
    assert outputs.test_output == Checks(successes=3, warnings=1)
    (suite,) = suites(junit)
    shutdown = "cell 5 (`IPython.Application.instance().kernel.do_shutdown(True)`) is skipped: it"
    assert cases(suite) == [
        ("cell 1: n = 1", "", ""),
        ("injected parameters: n = 2", "", ""),
        ("cell 2: path = '/data/x'", "", ""),
        ("cell 3: print(n * 2, path)", "", ""),
        ("cell 4: {}['pca']", "skipped", "tolerated: no PCA upstream"),
        ("cell 5", "skipped", f"{shutdown} only shuts the kernel down"),
    ]


def test_a_cell_that_ends_the_kernel_before_the_last_cell_fails_the_run(tmp_path: Path) -> None:
    sources = ("print('begun')", "import os; os._exit(0)", "1/0")
    notebook = write_notebook(tmp_path / "a.ipynb", *sources)

    error = failed(notebook)

    assert (type(error), error.reason) == (UserCodeError, Reason.KERNEL_DIED)
    assert str(error) == (
        "the kernel exited by itself with code 0 in cell 2 of 3 (`import os; os._exit(0)`); "
        "1 cell after it did not run"
    )


def test_a_cell_has_one_number_in_log_verdict_page_and_prompt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sources = ("n = 1", "slow()", "n + 1", "1/0", "never()")
    notebook = write_notebook(tmp_path / "a.ipynb", *sources, tags={0: ["parameters"]})
    (tmp_path / "rules.yaml").write_text("rules: [{skip: {text: slow}}]")
    given = {"rules": tmp_path / "rules.yaml", "page": tmp_path / "page.html"}

    error = failed(notebook, parameters=("n=5",), **given)

    assert str(error).startswith("cell 4 of 5 (`1/0`) raised ZeroDivisionError")
    assert "rule skip: cell 2 (`slow()`) is skipped" in caplog.messages
    assert "cell 4/5: 1/0" in caplog.messages
    cells = nbformat.read(tmp_path / "out/executed.ipynb", as_version=4).cells
    counts = {cell.source: cell.get("execution_count") for cell in cells}
    assert counts.pop("# Parameters\nn = 5\n") == 0
    assert [counts[source] for source in sources] == [1, None, 3, 4, None]
    assert "In [4]" in cells[0].source  # papermill's marker
    page = BeautifulSoup((tmp_path / "page.html").read_text(), "html.parser")
    labels = [tag.get_text() for tag in page.select(".stepkit-number")]
    assert labels == ["cell 1", "injected parameters", "cell 2, skipped by a rule", "cell 3",
                      "cell 4", "cell 5"]  # fmt: skip
    text = page.get_text()
    assert "First error: cell 4" in text
    assert "Cell In[4], line 1" in text  # the traceback
    assert "Out[3]:" in text


def test_the_changes_are_written_beside_the_output(notebook: Path, rules: Path) -> None:
    outputs = run(notebook, rules=rules)

    assert outputs.patched is not None
    assert outputs.diff is not None
    assert outputs.patched.name == "executed.patched.ipynb"
    patched = nbformat.read(outputs.patched, as_version=4)
    assert patched.cells[1].source == "path = '/data/x'  # mine"
    assert "-path = '/home/me/x'  # mine\n+path = '/data/x'  # mine" in outputs.diff.read_text()


@pytest.mark.slow
def test_nothing_is_left_beside_the_output_of_an_unchanged_notebook(tmp_path: Path) -> None:
    outputs = run(write_notebook(tmp_path / "a.ipynb", "1"))

    assert (outputs.patched, outputs.diff, outputs.changes) == (None, None, ())
    left = {path.name for path in (tmp_path / "out").iterdir()}
    endings = ("ipynb", "timeline.json.gz", "progress.json")
    assert left == {"papermill.log", *(f"executed.{ending}" for ending in endings)}


def test_a_rule_that_no_longer_fits_ends_the_run_before_a_cell_runs(
    tmp_path: Path, rules: Path
) -> None:
    source = f"open({str(tmp_path / 'ran')!r}, 'w')"

    message = refused(write_notebook(tmp_path / "a.ipynb", source), rules=rules)

    assert "path" in message
    assert str(rules) in message
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "out/executed.ipynb").exists()


def test_rules_that_leave_nothing_to_run_are_an_error(tmp_path: Path, rules: Path) -> None:
    rules.write_text("rules: [{skip: {index: 1}}]")

    message = refused(write_notebook(tmp_path / "a.ipynb", "1"), rules=rules)

    assert message == "rules skip all cells (1): nothing would run"
    assert not (tmp_path / "out/executed.ipynb").exists()


def test_a_value_is_set_by_a_rule_or_by_a_parameter(notebook: Path, rules: Path) -> None:
    rules.write_text("rules: [{set: {n: 5}}]")

    message = refused(notebook, rules=rules, parameters=("n=7",))

    assert message == "n is set by a rule and by a parameter: choose one"


def test_an_error_is_tolerated_as_often_as_declared(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "{}['pca']", "{}['pca']", "3")

    error = failed(notebook, tolerate=("KeyError:pca",))

    assert (type(error), error.reason) == (UserCodeError, Reason.CELL_ERROR)
    assert "cell 2 of 3" in str(error)
    assert isinstance(error.outputs, Outputs)
    assert [cell.status for cell in error.outputs.cells] == ["tolerated", "error", "not-run"]


def test_another_error_is_not_tolerated(tmp_path: Path) -> None:
    error = failed(write_notebook(tmp_path / "a.ipynb", "{}['x']"), tolerate=("KeyError:pca",))

    assert error.reason == Reason.CELL_ERROR


@pytest.mark.slow
def test_a_shutdown_cell_may_run_where_it_is_the_last(notebook: Path, rules: Path) -> None:
    outputs = run(notebook, rules=rules, keep_shutdown_cells=True)

    assert outputs.message == "passed with 1 tolerated error: 5 of 5 cells ran"


def test_a_page_that_cannot_be_made_fails_a_run_that_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepkit.html.nbconvert.render", _no_page)
    page = tmp_path / "page.html"

    error = failed(write_notebook(tmp_path / "a.ipynb", "1"), page=page)

    assert (type(error), error.reason) == (UserCodeError, Reason.TOOL_FAILED)
    assert str(error) == "1 of 1 cells ran, but there is no page: no such template"
    assert not page.exists()
    assert (tmp_path / "out/executed.ipynb").exists()


def test_a_page_that_cannot_be_made_never_hides_why_a_run_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepkit.html.nbconvert.render", _no_page)

    error = failed(write_notebook(tmp_path / "a.ipynb", "1/0"), page=tmp_path / "page.html")

    assert error.reason == Reason.CELL_ERROR
    assert "there is no page" not in str(error)


def test_a_failed_run_has_its_page(tmp_path: Path) -> None:
    page = tmp_path / "page.html"

    error = failed(write_notebook(tmp_path / "a.ipynb", "1/0"), page=page)

    assert isinstance(error.outputs, Outputs)
    assert error.outputs.page == page
    assert "ZeroDivisionError" in page.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("number", blueprint_notebooks.NUMBERS)
def test_the_blueprints_notebooks_run_as_they_are(tmp_path: Path, number: int) -> None:
    notebook = blueprint_notebooks.write(number, tmp_path / "a.ipynb")
    before = nbformat.read(notebook, as_version=4)

    outputs = run(notebook, gpu="optional")  # RMM may be here where no GPU is

    assert outputs.status == "succeeded"
    after = nbformat.read(outputs.notebook, as_version=4)
    assert [cell.source for cell in after.cells] == [cell.source for cell in before.cells]
    has_shutdown = number != blueprint_notebooks.WITHOUT_SHUTDOWN
    stripped = [change.rule for change in outputs.changes]
    assert stripped == ["strip-kernel-shutdown"] * has_shutdown


def _no_page(*_: object, **__: object) -> None:
    """Fail as nbconvert may: no notebook that runs makes it do so."""
    raise UserCodeError("no such template", reason=Reason.TOOL_FAILED)
