"""`stepkit config` shows each value, and where it comes from."""

from pathlib import Path

import pytest

from stepkit.cli import main as cli


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(*lines: str) -> None:
    Path("stepkit.yaml").write_text("\n".join(["schema: stepkit.config/1", *lines, ""]))


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert cli.main(["config", *words]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return [" ".join(line.split()) for line in captured.out.splitlines()]


def test_each_option_is_shown_with_its_source(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        "limits: {run-timeout: 5m}",
        "parameters: {a.ipynb: {n: 1}}",
        "defaults: {execute-notebook: {tolerate: [A, B C]}}",
    )
    monkeypatch.setenv("STEPKIT_OPT_ATTEMPTS", "3")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")

    lines = shown(capsys, "execute-notebook")

    assert lines[0] == f"{repository}/stepkit.yaml"
    assert "--run-timeout 300 stepkit.yaml, line 2" in lines
    assert "--tolerate A 'B C' stepkit.yaml, line 4" in lines
    assert "--attempts 3 STEPKIT_OPT_ATTEMPTS" in lines
    assert "--gpu auto default" in lines
    assert "--sampling true default" in lines
    assert "--notebook required" in lines
    assert lines[-1] == "parameters of a.ipynb: n=1 (stepkit.yaml, line 3)"


def test_a_default_of_a_ci_service_is_shown_with_its_variable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://s3.example.org")

    assert "--endpoint-url https://s3.example.org $AWS_ENDPOINT_URL" in shown(
        capsys, "execute-notebook"
    )


def test_without_a_command_only_what_differs_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shown(capsys) == ["no stepkit.yaml here or above"]

    write("tests: .", "rules: rules.yaml")
    monkeypatch.setenv("STEPKIT_OPT_INSTALLER", "none")
    lines = shown(capsys)[1:]

    assert lines == [
        "", "execute-notebook", "--rules rules.yaml stepkit.yaml, line 3",
        "", "execute-notebooks", "--rules rules.yaml stepkit.yaml, line 3",
        "", "run-tests", "--checkout . stepkit.yaml, line 2",
        "--installer none STEPKIT_OPT_INSTALLER",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "words", "why"),
    [
        ("rule: x", [], "stepkit.yaml, line 1: has an unknown key 'rule': did you mean rules?"),
        ("defaults: {run-tests: {markr: x}}", [], "run-tests has no such option: did you mean m"),
        ("tests: .", ["run-test"], "unknown command 'run-test': did you mean run-tests?"),
    ],
)
def test_what_is_wrong_is_named(
    capsys: pytest.CaptureFixture[str], line: str, words: list[str], why: str
) -> None:
    write(line)

    assert cli.main(["config", *words]) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert why in captured.err
