"""IN and OUT stand where papermill's users write them: also after flags of other arguments."""

import json
from pathlib import Path
from typing import Any

import pytest

from stepkit.cli import main as cli

TAKEN = "(--parameters-file takes all words after it: write them first)"


def options_of(directory: Path, *words: str) -> dict[str, Any]:
    """Return the options of a run of execute-notebook, whose notebook is missing."""
    given = [
        word.replace("IN", f"{directory}/a.ipynb").replace("OUT", f"{directory}/b.ipynb")
        for word in words
    ]

    assert cli.main(["execute-notebook", f"--report={directory}/r.json", *given]) == 2

    options = json.loads((directory / "r.json").read_text())["options"]
    assert (options["notebook"], options["output"]) == (
        f"{directory}/a.ipynb",
        f"{directory}/b.ipynb",
    )
    assert isinstance(options, dict)
    return options


@pytest.mark.parametrize(
    ("words", "log_output"),
    [
        (["--log-output", "IN", "OUT"], True),
        (["--no-log-output", "IN", "OUT"], False),
        (["--log-output", "--no-log-output", "IN", "OUT"], False),
        (["IN", "OUT", "--log-output=false"], False),
        (["--log-output", "false", "IN", "OUT"], False),
        (["IN", "--log_output", "OUT"], True),
        (["IN", "OUT", "--log-output", ""], False),
        (["--log-output", "--", "IN", "OUT"], True),
    ],
)
def test_a_boolean_flag_takes_no_notebook_for_its_value(
    tmp_path: Path, words: list[str], *, log_output: bool
) -> None:
    assert options_of(tmp_path, *words)["log-output"] is log_output


def test_words_after_a_double_dash_are_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["execute-notebook", "a", "b", "--", "--log-output", "c"])

    assert "error: unexpected argument '--log-output'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "name", "values"),
    [
        (["-y", "a: 1", "IN", "OUT"], "parameters-yaml", ["a: 1"]),
        (["-f", "p.yaml", "q.yaml", "IN", "OUT"], "parameters-file", ["p.yaml", "q.yaml"]),
        (["-y", "a: 1", "IN", "OUT", "-y", "b: 2"], "parameters-yaml", ["a: 1"]),
    ],
)
def test_notebooks_after_the_values_of_a_flag_are_the_notebooks(
    tmp_path: Path, words: list[str], name: str, values: list[str]
) -> None:
    if words[-2] == "-y":  # which of the words are notebooks is not known any more
        with pytest.raises(SystemExit):
            options_of(tmp_path, *words)
    else:
        assert options_of(tmp_path, *words)[name] == values


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (
            "-f p.yaml a.json b.json",
            f"the following arguments are required: --notebook, --output {TAKEN}",
        ),
        (
            "a.ipynb -f p.yaml b.ipynb",  # not taken: IN and OUT may never be confused
            f"the following arguments are required: --output {TAKEN}",
        ),
        ("-f a.ipynb b.ipynb", "the following arguments are required: --notebook, --output "),
    ],
)
def test_arguments_that_a_flag_took_are_missing(
    capsys: pytest.CaptureFixture[str], words: str, answer: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["execute-notebook", *words.split()])

    assert stop.value.code == 2
    assert f"error: {answer}" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["{}", "out.ipynb"], ["--notebook={}", "--output=out.ipynb"]])
def test_an_address_that_may_hold_a_secret_is_refused_without_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    given = [word.format("https://example.org/a.ipynb?sig=hidden") for word in words]
    report = tmp_path / "r.json"

    with pytest.raises(SystemExit) as stop:
        cli.main(["execute-notebook", f"--report={report}", *given])

    assert stop.value.code == 2
    printed = capsys.readouterr()
    said = "argument --notebook: an address such as https://... is used without user, ? and #"
    assert f"error: {said}" in printed.err
    assert "hidden" not in printed.out + printed.err + report.read_text()
