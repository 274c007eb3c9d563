"""What a failed notebook leaves on stderr, in its log and in its report."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import nbformat
import pytest
import users
from commands import stepkit
from samples import write_notebook
from step_runs import failed

from stepkit.steps.execute_notebook import Outputs

DEEP = """\
def load(name):
    return column(name)

def column(name):
    print('looking for', name)
    raise KeyError(f'{name} of https://me:s3cret-pass@host/x')

load('pca')"""
MESSAGE = (
    "cell 2 of 3 (`raise KeyError(f'{name} of https://me:s3cret-pass@host/x')`) raised "
    "KeyError: 'pca of https://me:s3cret-pass@host/x'; 1 cell after it did not run"
)


def masked(text: str) -> str:
    return text.replace("me:s3cret-pass", "***")


def execute(directory: Path, *sources: str, **options: str) -> tuple[str, dict[str, Any]]:
    """Execute a notebook that fails; return what is on stderr, and the report."""
    report = directory / "report.json"
    flags = [word for name, value in options.items() for word in (f"--{name}", value)]
    source = write_notebook(directory / "a.ipynb", *sources, tags={0: ["parameters"]})
    done = stepkit("execute-notebook", "--notebook", source, "--output", directory / "out/a.ipynb",
                   "--report", report, *flags)  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "Traceback (most recent call last):" not in done.stderr  # that is stepkit's own
    return done.stderr, json.loads(report.read_text())


def test_the_failed_cell_is_shown_before_the_verdict_and_kept_in_the_report(tmp_path: Path) -> None:
    stderr, report = execute(tmp_path, "1", DEEP, "3")

    saved = nbformat.read(tmp_path / "out/a.ipynb", as_version=4)
    assert saved.metadata["stepkit"] == {"failure": masked(MESSAGE)}
    log = (tmp_path / "out/papermill.log").read_text()
    for text in (stderr, log):
        lines = [line.split(" ", 2)[-1] for line in text.splitlines()]
        head = "--- cell 2 of 3, line 6 ---------------------------------------------------"
        block = lines[lines.index(head) : lines.index("verdict: " + masked(MESSAGE))]
        assert block[1].startswith("KeyError  ")
        assert block[1].endswith("Traceback (most recent call last)")
        assert [line for line in block if line.startswith("----> ")] == [
            "----> 8 load('pca')",
            "----> 2     return column(name)",
            masked("----> 6     raise KeyError(f'{name} of https://me:s3cret-pass@host/x')"),
        ]
        assert block[-4:] == [
            masked("KeyError: 'pca of https://me:s3cret-pass@host/x'"),
            "last lines of its output:",
            "  | looking for pca",
            "-" * 75,
        ]
    assert "s3cret" not in stderr + log + json.dumps(report)
    error, cell = report["error"], report["outputs"]["cells"][1]
    assert report["message"] == masked(MESSAGE)
    assert cell["error"] == error
    assert cell["title"] == masked("raise KeyError(f'{name} of https://me:s3cret-pass@host/x')")
    assert (error["ename"], error["line"], error["left_out"]) == ("KeyError", 6, 0)
    assert error["source"] == masked(DEEP)
    assert error["output"] == ["looking for pca"]
    assert "\x1b[" in error["traceback"]


@pytest.mark.slow
def test_each_line_of_the_evidence_is_one_object_in_json(tmp_path: Path) -> None:
    stderr, _ = execute(tmp_path, "1", "print('a\\x1b[2J', '::error::b', sep='\\n'); 1/0",
                        **{"log-format": "json"})  # fmt: skip

    bodies = [json.loads(line)["body"] for line in stderr.splitlines()]
    assert "----> 1 print('a\\x1b[2J', '::error::b', sep='\\n'); 1/0" in bodies
    assert bodies.count("  | a") == bodies.count("  | ::error::b") == 1


def test_a_failing_cell_that_a_rule_injected_is_named_as_that(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules:\n- inject: {before: start}\n  source: 1/0\n")

    error = failed(write_notebook(tmp_path / "a.ipynb", "n = 1"), rules=rules)

    assert str(error).startswith("a cell that a rule injected (`1/0`) raised ZeroDivisionError")
    assert isinstance(error.outputs, Outputs)
    assert [cell.injected for cell in error.outputs.cells] == ["rule", ""]
    assert error.evidence == error.outputs.cells[0].error


@pytest.mark.slow
def test_a_time_limit_shows_where_the_cell_was(tmp_path: Path) -> None:
    sleeps = "import time\nfor n in range(99):\n    print(n, flush=True)\n    time.sleep(9)"
    stderr, report = execute(tmp_path, "1", sleeps, **{"execution-timeout": "1"})

    assert "cell 2 of 2 (`time.sleep(9)`) was stopped after 1 s (--execution-timeout)" in stderr
    assert "----> 4     time.sleep(9)" in stderr
    assert report["reason"] == "timeout"
    assert (report["error"]["ename"], report["error"]["output"]) == ("KeyboardInterrupt", ["0"])


@pytest.mark.slow
def test_an_import_after_a_refused_installation_names_the_refusal(volume: Path) -> None:
    wheel = volume / "squidpyx-1-py3-none-any.whl"
    with ZipFile(wheel, "w") as archive:
        archive.writestr("squidpyx.py", "")
        archive.writestr("squidpyx-1.dist-info/METADATA", "Name: squidpyx\nVersion: 1\n")
        archive.writestr("squidpyx-1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("squidpyx-1.dist-info/RECORD", "")
    pip = find_spec("pip")
    assert pip
    assert pip.origin
    shutil.copytree(Path(pip.origin).parent, volume / "lib/pip")
    install = "{sys.executable} -m pip install --no-index --prefix /usr/none"
    first = f"import sys\n!PYTHONPATH={volume}/lib {install} {wheel}"
    source = write_notebook(volume / "a.ipynb", first, "import squidpyx")

    done = users.stepkit_as(users.RANDOM, "execute-notebook", source, volume / "out.ipynb")

    assert done.returncode == 3, done.stderr
    refused = "; cell 1 could not install packages: [Errno 13] Permission denied: '/usr/none'"
    words = f"raised ModuleNotFoundError: No module named 'squidpyx'{refused}"
    assert words in done.stderr.splitlines()[-1]
