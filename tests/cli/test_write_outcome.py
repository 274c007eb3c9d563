"""What a command writes last is true, or nothing is there."""

import json
import os
from pathlib import Path

import pytest
from greeting import Options, Outputs, Register, raising

from stepkit.cli import main as cli
from stepkit.errors import UserCodeError


def flags_of(directory: Path, report: Path) -> list[str]:
    names = ("status", "reason", "message", "said-words")
    return [f"--report={report}", *(f"--result={name}={directory}/r/{name}" for name in names)]


def results_in(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (directory / "r").iterdir()}


@pytest.mark.usefixtures("register")
def test_a_report_that_cannot_be_written_is_told_in_the_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    report = tmp_path / "file/r.json"

    assert cli.main(["greet", "--name=you", *flags_of(tmp_path, report)]) == 2

    message = f"cannot write {report}: File exists"
    results = results_in(tmp_path)
    assert (results["status"], results["reason"]) == ("failed", "bad-input")
    assert results["message"].startswith(message)
    assert results["said-words"] == ""  # it did not begin
    assert capsys.readouterr().err.count(message) == 1


def test_a_report_that_cannot_be_written_at_the_end_fails_the_step(
    register: Register, tmp_path: Path, small_disk: Path
) -> None:
    def fill(_: Options) -> Outputs:
        with pytest.raises(OSError, match="No space left"):
            (small_disk / "large").write_bytes(bytes(2**21))
        return Outputs(said_words="all")

    register(fill)
    report = small_disk / "r.json"

    assert cli.main(["greet", "--name=you", *flags_of(tmp_path, report)]) == 4

    results = results_in(tmp_path)
    assert (results["status"], results["reason"]) == ("failed", "disk-full")
    assert results["message"].startswith(f"cannot write {report}: No space left on device")
    assert results["message"].endswith("; the step itself succeeded")
    assert results["said-words"] == "all"
    written = json.loads(report.read_text())  # in the place of the one that says "killed"
    assert (written["step"], written["status"], written["reason"]) == (
        "greet",
        "failed",
        "disk-full",
    )
    assert (written["message"], written["exit_code"]) == (results["message"], 4)
    assert (written["outputs"], written["options"], written["versions"]) == ({}, {}, {})


def test_no_report_is_left_of_which_a_full_disk_has_no_room_for_the_end(
    register: Register, tmp_path: Path, small_disk: Path
) -> None:
    def fill(_: Options) -> Outputs:
        with pytest.raises(OSError, match="No space left"):
            (small_disk / "large").write_bytes(bytes(2**21))
        raise UserCodeError("a cell raised " + "x" * 2000)

    register(fill)

    assert cli.main(["greet", "--name=you", *flags_of(tmp_path, small_disk / "r.json")]) == 3

    assert results_in(tmp_path)["reason"] == "cell-error"
    assert [path.name for path in small_disk.iterdir()] == ["large"]


def test_a_report_that_cannot_be_written_does_not_hide_why_the_step_failed(
    register: Register, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "reports/r.json"

    def fail(_: Options) -> Outputs:
        report.unlink()
        report.mkdir()
        raise UserCodeError("a cell raised")

    register(fail)

    assert cli.main(["greet", "--name=you", *flags_of(tmp_path, report)]) == 3

    results = results_in(tmp_path)
    assert (results["reason"], results["message"]) == ("cell-error", "a cell raised")
    assert f"ERROR cannot write {report}" in capsys.readouterr().err


def test_results_that_are_too_large_fail_the_step_everywhere(
    register: Register, tmp_path: Path
) -> None:
    register(lambda _: Outputs(said_words="y" * 4096))

    assert cli.main(["greet", "--name=you", *flags_of(tmp_path, tmp_path / "r.json")]) == 2

    report, results = json.loads((tmp_path / "r.json").read_text()), results_in(tmp_path)
    assert (report["status"], report["reason"], report["exit_code"]) == ("failed", "bad-input", 2)
    assert (results["status"], results["reason"]) == ("failed", "bad-input")
    assert "Tekton has room for 3072" in report["message"]
    assert results["message"] == report["message"]
    assert (len(report["outputs"]["said-words"]), results["said-words"]) == (4096, "")


def test_a_result_that_cannot_be_written_leaves_the_others_true(
    register: Register, tmp_path: Path
) -> None:
    def lose(_: Options) -> Outputs:
        (tmp_path / "r/reason").unlink()
        (tmp_path / "r/reason").mkdir()
        return Outputs(said_words="hello")

    register(lose)

    assert cli.main(["greet", "--name=you", *flags_of(tmp_path, tmp_path / "r.json")]) == 2

    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["status"], report["exit_code"]) == ("failed", 2)
    assert report["message"].startswith(f"cannot write the result {tmp_path}/r/reason: Is a dir")
    assert (tmp_path / "r/status").read_text() == "failed"
    assert (tmp_path / "r/said-words").read_text() == "hello"
    assert (tmp_path / "r/reason").is_dir()


@pytest.mark.parametrize("error", [None, UserCodeError("no")])
def test_a_device_gets_the_last_word_alone(
    register: Register, tmp_path: Path, error: UserCodeError | None
) -> None:
    reader, writer = os.openpty()
    register(raising(error) if error else lambda _: Outputs(said_words=""))
    result = f"--result=reason={os.ttyname(writer)}"

    cli.main(["greet", "--name=you", result, f"--report={tmp_path}/r.json"])

    assert os.read(reader, 100) == (b"cell-error" if error else b"ok")
    os.close(reader)
    os.close(writer)
