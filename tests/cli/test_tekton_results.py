"""Results for Tekton: exact, small, and never in the way of the verdict."""

import json
from pathlib import Path

import pytest
from greeting import Options, Outputs, Register, raising

from stepkit.cli import main as cli
from stepkit.errors import ToolError, UserCodeError


@pytest.mark.usefixtures("register")
def test_results_too_large_for_tekton_are_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "y" * 4096

    assert cli.main(["greet", f"--name={name}", f"--result=said-words={tmp_path}/result"]) == 2
    assert "Tekton has room for 3072" in capsys.readouterr().err
    assert (tmp_path / "result").read_text() == ""


@pytest.mark.usefixtures("register")
def test_an_output_may_be_a_result_under_two_names(tmp_path: Path) -> None:
    flags = [f"--result=said-words={tmp_path}/{name}" for name in ("said-words", "older-name")]

    assert cli.main(["greet", "--name=you", *flags]) == 0

    said = (tmp_path / "said-words").read_text()
    assert said
    assert (tmp_path / "older-name").read_text() == said


def test_the_message_is_cut_so_that_all_results_stay_below_1_kib(
    register: Register, tmp_path: Path
) -> None:
    register(raising(ToolError("why " * 200, outputs=Outputs(said_words="p" * 800))))
    flags = [f"--result={name}={tmp_path}/{name}" for name in ("said-words", "reason", "message")]

    assert cli.main(["greet", "--name=you", *flags]) == 4

    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert written["said-words"] == "p" * 800
    assert written["message"].startswith("why why ")
    assert written["message"].endswith("...")
    assert sum(map(len, written.values())) == 1024


def test_an_error_while_writing_results_does_not_hide_a_failed_step(
    register: Register, tmp_path: Path
) -> None:
    def fail(_: Options) -> Outputs:
        (tmp_path / "file/reason").unlink()
        (tmp_path / "file").rmdir()
        (tmp_path / "file").touch()
        raise UserCodeError("no")

    register(fail)

    flags = [f"--result=reason={tmp_path}/file/reason", f"--report={tmp_path}/r.json"]
    assert cli.main(["greet", "--name=you", *flags]) == 3
    assert json.loads((tmp_path / "r.json").read_text())["exit_code"] == 3


@pytest.mark.usefixtures("register")
def test_a_step_whose_results_cannot_be_written_does_not_begin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()

    assert cli.main(["greet", "--name=you", f"--result=reason={tmp_path}/file/reason"]) == 2
    assert f"cannot write the result {tmp_path}/file/reason" in capsys.readouterr().err
