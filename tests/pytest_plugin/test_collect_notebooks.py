"""pytest --stepkit runs notebooks as tests, and is nothing but two flags without it."""

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import commands
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from stepkit import pytest_plugin
from stepkit.pytest_plugin import collect_notebooks


def write(path: Path, *cells: str, **metadata: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    notebook = new_notebook(cells=[new_code_cell(source) for source in cells])
    notebook.metadata.update(kernelspec={"name": "python3", "display_name": "Python 3"}, **metadata)
    nbformat.write(notebook, path)


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run pytest in the current directory with these arguments; returns what it printed."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    assert collect_notebooks.__name__  # imported once, not by each run
    options = ("-p", "no:cacheprovider", "-q")
    return lambda *args: pytester.runpytest_inprocess(*options, *args, plugins=[pytest_plugin])


@pytest.fixture
def collect(run: Any) -> Any:
    return partial(run, "--collect-only")


def test_a_start_without_the_flag_imports_the_module_of_the_flags_alone(tmp_path: Path) -> None:
    write(tmp_path / "a.ipynb", "1")
    (tmp_path / "test_a.py").write_text(
        "import sys\n"
        "def test_nothing_is_imported():\n"
        "    names = {name for name in sys.modules if name.partition('.')[0] == 'stepkit'}\n"
        "    assert names == {'stepkit', 'stepkit.pytest_plugin'}\n"
    )
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

    done = commands.python("-m", "pytest", "-p", "stepkit", tmp_path, cwd=tmp_path, env=env)

    assert "1 passed in" in done.stdout


def test_each_notebook_is_a_test_or_each_of_its_cells(
    collect: Any, pytester: pytest.Pytester
) -> None:
    notebook = new_notebook(
        cells=[
            new_code_cell("a = 1"),
            new_markdown_cell("# Title"),
            new_code_cell("not run", metadata={"tags": ["skip-execution"]}),
            new_code_cell("a"),
        ]
    )
    (pytester.path / "notebooks").mkdir()
    nbformat.write(notebook, pytester.path / "notebooks/a.ipynb")
    write(pytester.path / "out/notebooks/a/a.ipynb", "written by a run")
    pytester.makepyfile(test_b="def test_c(): ...")

    assert collect().ret == 0
    whole = collect("--stepkit", "--stepkit-output=out")
    cells = collect("--stepkit", "--stepkit-output=out", "--stepkit-by-cell", "notebooks")
    pytester.makeini("[pytest]\nstepkit = true\nstepkit_by_cell = true\nstepkit_output = out\n")
    by_ini = collect()

    assert whole.outlines[:2] == ["notebooks/a.ipynb::a", "test_b.py::test_c"]
    assert cells.outlines[:2] == ["notebooks/a.ipynb::cell 1", "notebooks/a.ipynb::cell 2"]
    assert by_ini.outlines[:3] == [*cells.outlines[:2], "test_b.py::test_c"]


def test_markers_come_from_stepkit_yaml_and_from_the_notebook(
    collect: Any, pytester: pytest.Pytester
) -> None:
    write(pytester.path / "a.ipynb", "1", stepkit={"markers": ["gpu"]})
    write(pytester.path / "b.ipynb", "1")
    pytester.makeini("[pytest]\nmarkers =\n    gpu: needs one\n    slow: takes long\n")
    (pytester.path / "stepkit.yaml").write_text(
        "schema: stepkit.config/1\nmarkers: {'*.ipynb': [slow]}\n"
    )

    chosen = [collect("--stepkit", "-m", marker).outlines[:-1] for marker in ("gpu", "slow")]

    assert [[line for line in lines if line] for lines in chosen] == [
        ["a.ipynb::a"],
        ["a.ipynb::a", "b.ipynb::b"],
    ]
    write(pytester.path / "b.ipynb", "1", stepkit={"markers": ["gpus"]})
    refused = collect("--stepkit", "--strict-markers")
    assert refused.ret == pytest.ExitCode.INTERRUPTED
    refused.stdout.fnmatch_lines(["*'gpus' not found in `markers` configuration option*"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "a.ipynb is not a notebook: it is not JSON: Expecting property name*"),
        ("", "a.ipynb is not a notebook: the file is empty"),
        ({"metadata": {"stepkit": {"markers": ["_gpu"]}}},
         "Marker name must NOT start with underscore"),
        ({"metadata": {"stepkit": {"markers": "gpu"}}},
         'a.ipynb: metadata.stepkit is not {"markers": [[]...[]]} with names of markers'),
        ({"metadata": {"execution": {"timeout": "long"}}},
         "a.ipynb: metadata.execution.timeout is 'long': write a number of seconds"),
        ({"cells": [new_code_cell("1", metadata={"nbmake": {"mock": 2}})]},
         "a.ipynb: metadata.nbmake of its cell 1 is not*"),
    ],
)  # fmt: skip
def test_a_notebook_that_cannot_be_read_is_an_error_of_collection(
    collect: Any, pytester: pytest.Pytester, content: str | dict[str, Any], message: str
) -> None:
    if isinstance(content, dict):
        whole = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [], **content}
        content = json.dumps(whole)
    (pytester.path / "a.ipynb").write_text(content)

    done = collect("--stepkit")

    assert done.ret == pytest.ExitCode.INTERRUPTED
    done.stdout.fnmatch_lines(["*ERROR collecting a.ipynb*", message, "*1 error in *"])
    assert "Traceback" not in done.stdout.str()
    assert [path.name for path in pytester.path.iterdir()] == ["a.ipynb"]


@pytest.mark.parametrize(
    ("arguments", "file", "message"),
    [
        (["--stepkit-args=--tolerate '"], "", "ERROR: --stepkit-args: No closing quotation"),
        (["--stepkit-args=--page=a.html"], "",
         "ERROR: --stepkit-args: --page names one file, and each notebook has its own: use *"),
        (["--stepkit-args=--tolerrate 1"], "",
         "ERROR: --stepkit-args: *--tolerrate*--tolerate*"),
        ([], "marker: {}", "ERROR: stepkit.yaml, line 1: has an unknown key 'marker': did you *"),
    ],
)  # fmt: skip
def test_options_that_no_notebook_can_run_with_end_pytest(
    collect: Any, pytester: pytest.Pytester, arguments: list[str], file: str, message: str
) -> None:
    (pytester.path / "stepkit.yaml").write_text(f"schema: stepkit.config/1\n{file}\n")

    done = collect("--stepkit", *arguments)

    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines([message])


def test_a_notebook_that_is_named_without_the_flag_gets_a_line_that_names_the_flag(
    collect: Any, pytester: pytest.Pytester
) -> None:
    write(pytester.path / "a.ipynb", "1")

    without, beside = collect("a.ipynb"), collect("--stepkit", "b.ipynb")

    hint = "stepkit runs a notebook as a test with: --stepkit "
    without.stdout.fnmatch_lines([f"{hint}a.ipynb"])
    beside.stdout.no_fnmatch_line(f"{hint}*")
    assert without.ret == beside.ret == pytest.ExitCode.USAGE_ERROR


def test_mocks_for_nbmake_do_not_hide_a_file_of_rules(
    collect: Any, pytester: pytest.Pytester
) -> None:
    mocked = new_code_cell("n = 1", metadata={"nbmake": {"mock": {"n": 2}}})
    nbformat.write(new_notebook(cells=[mocked]), pytester.path / "a.ipynb")

    assert collect("--stepkit").ret == pytest.ExitCode.OK
    done = collect("--stepkit", "--stepkit-args=--rules rules.yaml")

    assert done.ret == pytest.ExitCode.INTERRUPTED
    done.stdout.fnmatch_lines(
        ["a.ipynb: its cells have mocks for nbmake, and there is a file of *"]
    )


def test_a_run_that_cannot_begin_fails_its_test_or_the_last_of_its_cells(
    run: Any, pytester: pytest.Pytester
) -> None:
    write(pytester.path / "a.ipynb", "1", "2")
    options = ("--stepkit", "-rs", "--stepkit-by-cell", "--stepkit-args", "--kernel nope")

    done = run(*options)

    done.assert_outcomes(failed=1, skipped=1)
    done.stdout.fnmatch_lines(
        [
            "*_ a.ipynb: cell 2 _*",
            "--kernel asks for kernel 'nope', which is not installed: *",
            "SKIPPED [[]1[]] a.ipynb:1: not run: --kernel asks for kernel 'nope'*",
        ]
    )
    assert [path.name for path in pytester.path.glob("[!.]*")] == ["a.ipynb"]
