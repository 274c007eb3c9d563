"""Arguments that are wrong are reported where they say, and nowhere else."""

import json
from pathlib import Path
from typing import Any

import pytest

from stepkit.cli import main as cli
from stepkit.cli.parser import UsageError

NOTEBOOK = "--notebook=a.ipynb", "--output=o.ipynb"
RESULTS = [f"--result={name}=r/{name}" for name in ("status", "reason", "message", "cells-run")]
DESTINATIONS = ["--report=r.json", *RESULTS]


def refused(*words: str) -> int:
    """Run a command that fails before it begins, and return its exit code."""
    try:
        return cli.main(words)
    except UsageError as stop:
        return int(str(stop))


def written() -> tuple[dict[str, Any], dict[str, str]]:
    """Return the report and the results."""
    results = {path.name: path.read_text() for path in Path("r").iterdir()}
    return json.loads(Path("r.json").read_text()), results


@pytest.fixture(autouse=True)
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    notebook = tmp_path / "a.ipynb"
    notebook.write_text("precious")
    return notebook


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([*NOTEBOOK, "--gpu=maybe"], "argument --gpu: 'maybe' is none of auto, required"),
        ([*NOTEBOOK, "--run-timeout", "2 hours"], "argument --run-timeout: '2 hours' is not a dur"),
        ([*NOTEBOOK, "--notebook="], "--notebook is empty: notebook to execute"),
        ([*NOTEBOOK, "--parameters", "-x=1"], "unknown option -x"),
        ([NOTEBOOK[0]], "the following arguments are required: --output"),
        (
            [*NOTEBOOK, "--result=cells=r/cells"],
            "argument --result: 'cells=r/cells' is not NAME=FILE",
        ),
    ],
)
def test_wrong_arguments_are_in_report_and_results(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused("execute-notebook", *words, *DESTINATIONS) == 2

    said = capsys.readouterr()
    assert said.err.startswith(f"stepkit execute-notebook: error: {sentence}")
    assert said.err.count("\n") == 1
    report, results = written()
    assert (report["step"], report["exit_code"]) == ("execute-notebook", 2)
    assert (report["status"], report["reason"]) == ("failed", "bad-input")
    assert report["message"].startswith(sentence)
    assert results == {
        "status": "failed",
        "reason": "bad-input",
        "message": report["message"],
        "cells-run": "",
    }
    assert said.out == f"status=failed\nreason=bad-input\nmessage={report['message']}\n"


def test_values_may_follow_their_flags_as_separate_arguments() -> None:
    results = [word for flag in RESULTS for word in flag.split("=", 1)]

    assert refused("execute-notebook", "--report", "r.json", *results, "--gpu=maybe") == 2

    report, written_results = written()
    assert report["reason"] == written_results["reason"] == "bad-input"


def test_an_unknown_command_is_reported_too() -> None:
    assert refused("execute-notbook", *NOTEBOOK, *DESTINATIONS) == 2

    report, results = written()
    assert report["message"].startswith("unknown command 'execute-notbook': did you mean execute-")
    assert set(results) == {"status", "reason", "message"}


@pytest.mark.parametrize(
    "words",
    [
        [*NOTEBOOK, "--gpu=maybe", "--report=a.ipynb"],
        [*NOTEBOOK, "--gpu=maybe", "--report", "./a.ipynb"],
        ["--notebook", "a.ipynb", "--report=a.ipynb"],
        [*NOTEBOOK, "--gpu=maybe", "--result=status=a.ipynb"],
        [*NOTEBOOK, "--notebook=", "--report=a.ipynb"],
        [*NOTEBOOK, "--gpu=maybe", "--result=status=s", "--result=reason=s"],
        [*NOTEBOOK, "--gpu=maybe", "--report", "--result"],
        [*NOTEBOOK, "--gpu=maybe", "--report=", "--result=status="],
    ],
)
def test_a_file_that_two_arguments_name_is_not_written(words: list[str], notebook: Path) -> None:
    assert refused("execute-notebook", *words) == 2

    assert notebook.read_text() == "precious"
    assert list(notebook.parent.iterdir()) == [notebook]


def test_files_with_one_name_do_not_hide_the_refusal_from_other_files(notebook: Path) -> None:
    flags = [*NOTEBOOK, "--log=a.ipynb", *DESTINATIONS, "--result=reason=o.ipynb"]

    assert refused("execute-notebook", *flags) == 2

    report, results = written()
    assert report["message"].startswith("--log and --notebook name the same file")
    assert (results["status"], results["reason"]) == ("failed", "bad-input")
    assert notebook.read_text() == "precious"
    assert not Path("o.ipynb").exists()


def test_a_secret_of_the_environment_is_masked_in_what_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GIT_TOKEN", "s3cret-token")

    assert refused("git-clone", "--timeout=s3cret-token", *DESTINATIONS[:4]) == 2

    report, results = written()
    assert "'***' is not" in report["message"]
    said = capsys.readouterr()
    assert "s3cret" not in said.out + said.err + json.dumps(report) + json.dumps(results)
