"""The help of run-local names the params of a Pipeline."""

from pathlib import Path

import pytest

from stepkit.cli import main as cli

PIPELINE = """\
apiVersion: tekton.dev/v1
kind: Pipeline
metadata: {name: p}
spec:
  params:
  - {name: size, default: 1GiB, description: What must be free.}
  - {name: a-name-of-more-than-22-characters, type: array, default: [a]}
  - {name: url, description: The repository.}
  tasks:
  - name: only
    taskSpec: {steps: [{name: s, image: i, command: ["true"]}]}
"""


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.main(["run-local", *words, "--help"])
    assert ended.value.code == 0
    out: str = capsys.readouterr().out
    assert out.startswith("usage: stepkit run-local ")
    return out


def test_the_help_behind_a_pipeline_lists_its_params(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.yaml").write_text(PIPELINE)

    assert said(capsys, str(tmp_path / "p.yaml")).endswith(
        "\nparams of p:\n"
        "  url                   The repository. (required)\n"
        "  size                  What must be free. (default: 1GiB)\n"
        "  a-name-of-more-than-22-characters\n"
        '                        (default: ["a"])\n'
    )


def test_the_help_without_a_pipeline_says_how_to_see_params(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys).endswith("\nparams of a Pipeline: stepkit run-local PIPELINE --help\n")

    missing = tmp_path / "p.yaml"
    assert f"\nits params are not shown: there is no file {missing}\n" in said(capsys, str(missing))


def test_a_name_is_that_of_a_pipeline_of_stepkit_unless_there_is_a_file_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("smoke").mkdir()
    assert "\nparams of smoke:\n" in said(capsys, "smoke")

    Path("smoke").rmdir()
    Path("smoke").write_text(PIPELINE)
    assert "\nparams of p:\n" in said(capsys, "smoke")
