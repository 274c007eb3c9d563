"""The GitHub action: its shell, run with a runner's files, and what it does with odd inputs."""

import json
import os
import re
import sys
import venv
from pathlib import Path

import nbformat
import pytest
import yaml
from commands import run as run_command
from github_commands import commands
from github_runner import Runner
from samples import write_notebook

ROOT = Path(__file__).parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
TEST = """\
from pathlib import Path

def test_page():
    assert list(Path("input").glob("*.html"))
"""


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """Return a runner on which stepkit is installed, with an empty checkout."""
    workspace, scratch = tmp_path / "workspace", tmp_path / "scratch"
    workspace.mkdir()
    scratch.mkdir()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return Runner(ROOT, workspace, scratch, {"PATH": path, "STEPKIT_OPT_INSTALLER": "none"})


def test_no_input_is_written_into_a_script() -> None:
    scripts = [step["run"] for step in ACTION["runs"]["steps"] if "run" in step]

    assert len(scripts) == 5
    assert not [script for script in scripts if "${{" in script]


def test_what_it_and_our_workflows_use_of_others_is_pinned_to_a_commit() -> None:
    paths = ["action.yml", ".github/workflows/ci.yml", "docs/github.md", "docs/ci.md",
             "stepkit/cli/starter/templates/github.yml"]  # fmt: skip
    text = "\n".join((ROOT / path).read_text(encoding="utf-8") for path in paths)
    used = re.findall(r"uses: (actions/.*)", text)

    assert len(used) == 14
    assert not [each for each in used if not re.fullmatch(r"\S+@[0-9a-f]{40} # v[\d.]+", each)]


def test_the_page_lists_all_inputs_and_outputs_with_their_defaults() -> None:
    page = (ROOT / "docs/github.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w-]+)` \|.*\| (.*?) ?\|$", page, flags=re.MULTILINE))
    given = {name: each["default"] for name, each in ACTION["inputs"].items() if "default" in each}

    assert list(rows) == list(ACTION["inputs"])
    assert {name: rows[name].strip("`") for name in given} == given
    assert [name for name in ACTION["outputs"] if f"`{name}`" not in page] == []


@pytest.mark.slow
def test_notebooks_and_tests_that_pass_leave_outputs_a_report_and_a_summary(runner: Runner) -> None:
    write_notebook(runner.workspace / "nb/a.ipynb", "n = 1", "print(n)", tags={0: ["parameters"]})
    (runner.workspace / "test_page.py").write_text(TEST)
    runner.strategy = {"job-index": "2", "job-total": "3"}

    run = runner.run(notebooks="nb/*.ipynb", parameters="n=5", tests=".", install="none")

    assert set(run.outcomes.values()) == {"success"}, run.log
    out = runner.workspace / "out"
    assert run.outputs == {
        "verdict": "passed",
        "reason": "ok",
        "message": run.outputs["message"],
        "report": f"{out}/report-analysis-2.html",
        "run": f"{out}/run.json",
        "report-url": "https://github.example/1",
        "files-url": "https://github.example/2",
    }
    assert run.uploads == [
        {"path": f"{out}/report-analysis-2.html", "archive": "false"},
        {"name": "report-analysis-2-files", "path": str(out)},
    ]
    assert run.summary.startswith(
        "[Report](https://github.example/1) · [all files](https://github.example/2)\n\n"
        "# Notebook run: passed\n"
    )
    assert "## Tests: 1 of 1 passed" in run.summary
    kept = {path.name for path in out.iterdir()}
    assert {"a.ipynb", "a.html", "notebook_cells.xml", "pytest_results.xml", "run.json"} <= kept
    assert not [each for each in commands(run.log) if each.name in {"error", "warning"}]


@pytest.mark.slow
def test_notebooks_that_fail_fail_the_action_each_where_it_happened(
    runner: Runner,
) -> None:
    (runner.workspace / ".git").mkdir()
    for name in ("a", "b"):
        write_notebook(runner.workspace / f"project/{name}.ipynb", "1 / 0")

    run = runner.run(
        working_directory="project", notebooks="*.ipynb", install="none", artifact="of/a: 1"
    )

    assert run.outcomes == {
        "install": "success", "execute": "failure", "tests": "skipped", "summarize": "failure",
        "report": "success", "files": "success", "show": "success",
    }  # fmt: skip
    assert run.outputs["verdict"] == "failed"
    assert run.outputs["reason"] == "cell-error"
    assert run.uploads[0]["path"] == f"{runner.workspace}/project/out/of-a--1.html"
    assert run.uploads[1]["name"] == "of-a--1-files"
    assert "# Notebook run: failed" in run.summary
    assert "ZeroDivisionError: division by zero" in run.summary
    errors = [each.properties for each in commands(run.log) if "file" in each.properties]
    assert {each["file"] for each in errors} == {"project/a.ipynb", "project/b.ipynb"}
    assert {each["title"] for each in errors} == {"cell 1 of 1"}


@pytest.mark.slow
def test_a_job_that_is_cancelled_keeps_what_ran_and_says_so(runner: Runner) -> None:
    runner.cancel_at = runner.scratch / "runs"
    touch = f"print('kept'); open({str(runner.cancel_at)!r}, 'w')"
    write_notebook(runner.workspace / "a.ipynb", f"{touch}; import time; time.sleep(30)")

    run = runner.run(notebooks="a.ipynb", tests=".", install="none")

    assert run.outcomes["execute"] == run.outcomes["summarize"] == "failure"
    assert (run.outcomes["tests"], run.outcomes["show"]) == ("skipped", "success")
    assert run.outputs["verdict"] == "cancelled"
    assert "# Notebook run: cancelled" in run.summary
    assert len(run.uploads) == 2
    executed = nbformat.read(runner.workspace / "out/a.ipynb", as_version=4)
    assert executed.cells[-1].outputs[0].text == "kept\n"


HOSTILE = "$(touch owned); `touch owned` \" ' \\ && touch owned #"


@pytest.mark.slow
def test_hostile_inputs_are_values_and_no_commands(runner: Runner) -> None:
    name = "$(touch owned) `touch owned`; &&.ipynb"
    write_notebook(runner.workspace / name, "text = ''", "print(text)", tags={0: ["parameters"]})
    given = HOSTILE.replace("\\", "\\\\").replace('"', '\\"')

    run = runner.run(
        notebooks=f"'{name}'\n",
        parameters=f'"text={given}"',
        directory="$(touch owned)\\ out",
        artifact="$(touch owned)\n::warning::x\nverdict=passed",
        install="none",
    )

    assert set(run.outcomes.values()) == {"success", "skipped"}, run.log
    out = runner.workspace / "$(touch owned)\\ out"
    executed = nbformat.read(out / name, as_version=4)
    assert executed.cells[-1].outputs[0].text == HOSTILE + "\n"
    assert run.outputs["report"] == f"{out}/--touch-owned----warning--x-verdict-passed.html"
    assert not list(runner.workspace.parent.rglob("owned"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"run-timeout": "$(touch owned)"}, "STEPKIT_OPT_RUN_TIMEOUT: "),
        ({"notebooks": "'a.ipynb"}, "STEPKIT_OPT_NOTEBOOKS: No closing quotation"),
        ({"notebooks": "b.ipynb"}, "b.ipynb"),
        ({"directory": "a\nverdict=passed"}, "directory: a line break"),
    ],
)
def test_an_input_that_is_wrong_fails_the_action_with_its_reason(
    runner: Runner, inputs: dict[str, str], reason: str
) -> None:
    write_notebook(runner.workspace / "a.ipynb", "1")

    run = runner.run(**{"notebooks": "a.ipynb", "install": "none", **inputs})

    assert run.failed
    assert run.outputs["verdict"] != "passed"
    assert [each for each in commands(run.log) if each.name == "error" and reason in each.text]
    assert not list(runner.workspace.parent.rglob("owned"))


@pytest.mark.slow
def test_it_installs_itself_and_the_requirements_of_the_checkout(runner: Runner) -> None:
    """The environment sees our packages, so that pip has nothing to download."""
    environment = runner.scratch / "environment"
    venv.create(environment)
    python = environment / "bin/python"
    packages = next(environment.glob("lib/python*/site-packages"))
    ours = next(Path(sys.prefix).glob("lib/python*/site-packages"))
    (packages / "ours.pth").write_text(f"{ours}\n")
    runner.env |= {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it as the opposite of its name
        "PIP_NO_INDEX": "1",
        "JUPYTER_PATH": f"{sys.prefix}/share/jupyter",  # nbconvert's templates
    }
    write_notebook(runner.workspace / "a.ipynb", "1")
    (runner.workspace / "requirements.txt").write_text("pytest\n")
    for name in ("pip", "stepkit"):  # of the checkout, not ours
        (runner.workspace / f"{name}.py").write_text("raise SystemExit(9)\n")

    run = runner.run(notebooks="a.ipynb", upload="false")

    assert not run.failed, run.log
    assert "Requirement already satisfied: pytest" in run.log
    code = "import stepkit; print(stepkit.__file__)"
    found = run_command(python, "-P", "-c", code).stdout
    assert Path(found).is_relative_to(packages)
    assert run.uploads == []
    record = json.loads(Path(run.outputs["run"]).read_text())
    assert record["verdict"] == "passed"


@pytest.mark.parametrize("version", ["", "(3, 10)"])
def test_without_a_python_that_is_new_enough_it_names_the_action_that_brings_one(
    runner: Runner, version: str
) -> None:
    runner.env["PATH"] = str(runner.scratch)
    (runner.scratch / "bash").symlink_to("/bin/bash")
    if version:
        old = (
            f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = {version}; $2"\n'
        )
        (runner.scratch / "python").write_text(old)
        (runner.scratch / "python").chmod(0o755)

    run = runner.run(notebooks="a.ipynb")

    assert run.outcomes["install"] == "failure"
    assert set(run.outcomes.values()) == {"failure", "skipped"}
    (error,) = commands(run.log)
    assert error.text.startswith(
        "there is no Python 3.11 or later: put actions/setup-python before"
    )
