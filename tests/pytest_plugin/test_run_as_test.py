"""What pytest and its JUnit file say of notebooks that ran, by the command line of a user."""

import os
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import commands
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

pytestmark = pytest.mark.slow


def write(path: Path, *cells: str, first: dict[str, Any] | None = None, **metadata: Any) -> None:
    """Write a notebook; ``first`` are the metadata of its first cell."""
    notebook = new_notebook(cells=[new_code_cell(source) for source in cells])
    notebook.cells[0].metadata.update(first or {})
    notebook.metadata.update(kernelspec={"name": "python3", "display_name": "Python 3"}, **metadata)
    nbformat.write(notebook, path)


def run(
    directory: Path, *arguments: str
) -> tuple[subprocess.CompletedProcess[str], dict[str, ET.Element]]:
    """Return how pytest ended, and the test cases of its JUnit file by name."""
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    options = ("-p", "no:zarr", "--stepkit", "-ra", "--junitxml=junit.xml")
    done = commands.python("-m", "pytest", *options, *arguments, cwd=directory, env=env)
    cases = ET.parse(directory / "junit.xml").iter("testcase")
    return done, {f"{case.get('classname')}::{case.get('name')}": case for case in cases}


def ended(cases: dict[str, ET.Element]) -> dict[str, str]:
    """Return how each test case ended: with the message of what is not a success."""
    return {
        name: next(
            (f"{how.tag}: {how.get('message')}" for how in case if how.tag != "properties"),
            "passed",
        )
        for name, case in cases.items()
    }


def properties(case: ET.Element) -> dict[str | None, str | None]:
    return {each.get("name"): each.get("value") for each in case.iter("property")}


def test_notebooks_run_side_by_side_with_what_stepkit_yaml_and_their_metadata_say(
    tmp_path: Path,
) -> None:
    write(tmp_path / "given.ipynb", "n = 1", "assert n == 2", first={"tags": ["parameters"]})
    write(tmp_path / "fails.ipynb", "def f(x):\n    return {}[x]", "genes = 1\nf('CD4')\n2", "3")
    write(tmp_path / "known.ipynb", "raise KeyError('X_pca')", "1")
    write(tmp_path / "waits.ipynb", "import time; time.sleep(60)", execution={"timeout": 1})
    mock = {"nbmake": {"mock": {"epochs": 2}, "post_cell_execute": ["epochs += 1"]}}
    write(tmp_path / "mocked.ipynb", "epochs = 1000", "assert epochs == 3", first=mock)
    dies_once = (
        "import os\nif not os.path.exists('1'):\n    open('1', 'w')\n    os.kill(os.getpid(), 9)"
    )
    write(tmp_path / "flaky.ipynb", dies_once)
    (tmp_path / "stepkit.yaml").write_text(
        "schema: stepkit.config/1\nparameters: {given.ipynb: {n: 2}}\n"
        "defaults: {execute-notebook: {tolerate: ['KeyError:X_pca # issue 41']}}\n"
    )
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.ipynb")}

    options = ("-n", "2", "--stepkit-output", "out", "--stepkit-args", "--attempts 2")
    done, cases = run(tmp_path, *options)

    assert done.returncode == 1, done.stdout + done.stderr
    failed = "cell 2 of 3 (`f('CD4')`) raised KeyError: 'CD4'; 1 cell after it did not run"
    known = "passed with 1 tolerated error: 2 of 2 cells ran; cell 1: KeyError: 'X_pca' (issue 41)"
    found = ended(cases)
    assert found.pop("waits.ipynb::waits").startswith("failure: cell 1 of 1 ")
    assert found == {
        "fails.ipynb::fails": f"failure: {failed}",
        "flaky.ipynb::flaky": "passed",
        "given.ipynb::given": "passed",
        "known.ipynb::known": f"skipped: {known}",
        "mocked.ipynb::mocked": "passed",
    }
    assert "2 failed, 2 passed, 1 xfailed, 1 flaky" in done.stdout
    assert f"XFAIL known.ipynb::known - {known}" in done.stdout
    how = properties(cases["known.ipynb::known"])
    assert (how["stepkit-status"], how["kernel"]) == ("tolerated", "python3")
    assert int(how["rss-peak"] or 0) > 10**7
    shown = done.stdout.partition("_ fails.ipynb: fails _")[2].splitlines()
    assert shown[2:13] == [
        "    genes = 1",
        ">   f('CD4')",
        "",
        "fails.ipynb:22: cell 2 of 3",
        "",
        "Cell In[1], line 2, in f(x)",
        "      1 def f(x):",
        "----> 2     return {}[x]",
        "E   KeyError: 'CD4'",
        "",
        failed,
    ]
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.ipynb")} == before
    names = ["fails", "flaky", "given", "known", "mocked", "waits"]
    assert all((tmp_path / f"out/{name}/{name}.html").is_file() for name in names)
    assert sorted(path.stem for path in tmp_path.glob("out/reports/*.json")) == names


def test_each_cell_says_how_it_ended_and_one_of_them_why_the_run_failed(tmp_path: Path) -> None:
    write(
        tmp_path / "a.ipynb",
        "open('ran', 'a').write('once')",
        "x",
        "raise KeyError('X_pca')",
        "{}['CD4']",
        "2",
    )
    (tmp_path / "rules.yaml").write_text(
        "rules: [{skip: {index: 2}, reason: no data}]\n"
        "tolerate: [{ename: KeyError, evalue: X_pca, reason: issue 41}]\n"
    )
    options = ("--stepkit-by-cell", "--stepkit-args", "--rules rules.yaml")

    done, cases = run(tmp_path, "-n", "2", *options)

    failed = "cell 4 of 5 (`{}['CD4']`) raised KeyError: 'CD4'; 1 cell after it did not run"
    assert done.returncode == 1, done.stdout + done.stderr
    assert ended(cases) == {
        "a.ipynb::cell 1": "passed",
        "a.ipynb::cell 2": "skipped: cell 2 (`x`) is skipped: no data",
        "a.ipynb::cell 3": "skipped: cell 3: KeyError: 'X_pca' (issue 41)",
        "a.ipynb::cell 4": f"failure: {failed}",
        "a.ipynb::cell 5": f"skipped: not run: {failed}",
    }
    assert (tmp_path / "ran").read_text() == "once"
    assert "SKIPPED [1] a.ipynb:1: cell 2 (`x`) is skipped: no data" in done.stdout

    done, cases = run(tmp_path, *options, "a.ipynb::cell 1")

    assert done.returncode == 1, done.stdout + done.stderr
    assert ended(cases) == {"a.ipynb::cell 1": f"failure: {failed}"}
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {".pytest_cache", "a.ipynb", "junit.xml", "ran", "rules.yaml"}


def test_a_notebook_that_needs_a_gpu_fails_without_one(tmp_path: Path) -> None:
    write(tmp_path / "a.ipynb", "open('ran', 'w')")
    (tmp_path / "pytest.ini").write_text("[pytest]\nstepkit_args = --gpu required\n")

    done, cases = run(tmp_path)

    assert done.returncode == 1, done.stdout + done.stderr
    assert "GPU" in ended(cases)["a.ipynb::a"]
    assert not (tmp_path / "ran").exists()


def test_outputs_other_than_those_that_the_notebook_has_fail_their_cells(tmp_path: Path) -> None:
    cells = [
        new_code_cell(source, outputs=[new_output("execute_result", {"text/plain": stored})])
        for source, stored in (("1", "1"), ("1.5", "1.25"))
    ]
    notebook = new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, tmp_path / "a.ipynb")

    done, cases = run(tmp_path, "--stepkit-compare", "--stepkit-by-cell")

    assert done.returncode == 1, done.stdout + done.stderr
    differs = "cell 2 (`1.5`), text/plain: 1.5 is not 1.25 (20 % off, rtol 1e-09)"
    assert ended(cases) == {"a.ipynb::cell 1": "passed", "a.ipynb::cell 2": f"failure: {differs}"}
    shown = done.stdout.partition("_ a.ipynb: cell 2 _")[2].splitlines()
    assert shown[1:5] == [differs, "-1.25", "+1.5", ""]
