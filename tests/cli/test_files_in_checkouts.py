"""A file that an option names by its repository is found before the step begins."""

import json
from pathlib import Path

import pytest

from stepkit.cli import main as cli


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory of a run with a checkout of tests; a notebook lies beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run-1/tests/ci").mkdir(parents=True)
    (tmp_path / "a.ipynb").write_text("{}")
    return tmp_path / "run-1"


def execute(*flags: str) -> tuple[int, dict[str, object]]:
    """Run execute-notebook; return its exit code and its report."""
    command = ["execute-notebook", "a.ipynb", "out.ipynb", "--report=report.json"]
    ended = cli.main([*command, "--checkouts=run-1", *flags])
    report: dict[str, object] = json.loads(Path("report.json").read_text())
    return ended, report


def test_a_step_reads_the_file_and_its_report_names_it(run: Path) -> None:
    (run / "tests/ci/rules.yaml").write_text("rules: 7\n")

    ended, report = execute("--rules=tests:ci/rules.yaml")

    assert (ended, report["reason"]) == (2, "bad-input")
    assert str(report["message"]).startswith("run-1/tests/ci/rules.yaml, line 1: ")
    assert isinstance(report["options"], dict)
    assert report["options"]["rules"] == "run-1/tests/ci/rules.yaml"


def test_a_file_that_is_not_there_ends_the_step_before_it_begins(run: Path) -> None:
    ended, report = execute("--rules=tests:ci/rules.yaml")

    assert (ended, report["reason"]) == (2, "not-found")
    assert report["message"] == (
        "there is no file tests:ci/rules.yaml: it is not "
        f"{run.parent / 'run-1/tests/ci/rules.yaml'}"
    )
    assert not Path("out.ipynb").exists()


def test_a_file_of_a_repository_is_not_written_over(run: Path) -> None:
    rules = run / "tests/ci/rules.yaml"
    rules.write_text("rules: []\n")

    ended, report = execute("--rules=tests:ci/rules.yaml", "--log=run-1/tests/ci/rules.yaml")

    assert ended == 2
    assert report["message"] == (
        "--log and --rules name the same file run-1/tests/ci/rules.yaml: name another"
    )
    assert rules.read_text() == "rules: []\n"


def message_of(*command: str) -> str:
    """Return the message of a command that is refused."""
    assert cli.main([*command, "--report=report.json"]) == 2
    return str(json.loads(Path("report.json").read_text())["message"])


def test_a_manifest_is_first_one_of_the_notebooks_and_then_one_of_the_workspace(run: Path) -> None:
    command = ("download-dataset", "--manifest=datasets.yaml", "--directory=data")
    Path("datasets.yaml").write_text("a: 1\n")
    (run / "source").mkdir()

    of_the_workspace = message_of(*command, "--checkouts=run-1")
    (run / "source/datasets.yaml").write_text("b: 1\n")
    of_the_notebooks = message_of(*command, "--checkouts=run-1")

    assert of_the_workspace.startswith("datasets.yaml, line 1")
    assert of_the_notebooks.startswith("run-1/source/datasets.yaml, line 1")


def test_a_plan_of_the_notebooks_repository_does_not_excuse_their_errors(run: Path) -> None:
    (run / "source").mkdir()
    plan = "notebooks:\n  - {path: ../../a.ipynb, tolerate: [KeyError]}\n"
    (run / "source/plan.yaml").write_text(plan)
    command = ("execute-notebooks", "--plan=notebooks:plan.yaml", "--directory=out")

    refused = message_of(*command, "--checkouts=run-1")
    allowed = message_of(*command, "--checkouts=run-1", "--allow-notebook-tolerance=true")

    assert refused.startswith(
        "run-1/source/plan.yaml, line 2: notebooks[0].tolerate: the notebooks'"
    )
    assert "tolerate" not in allowed  # a.ipynb is not a notebook
