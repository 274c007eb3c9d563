"""A wrong command or option is answered in one line, with the right one where it is known."""

import json
from pathlib import Path

import pytest
from greeting import Register

from stepkit.cli import main as cli


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 2
    said: str = capsys.readouterr().err
    assert said.count("\n") == 1
    return said.partition("error: ")[2].partition("; see stepkit ")[0]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("git-clon", "unknown command 'git-clon': did you mean git-clone?"),
        ("zzz", "unknown command 'zzz': known commands: prepare-workspace, "),
        ("help zzz", "unknown command 'zzz': known commands: prepare-workspace, "),
        ("--frobnicate", "unknown option --frobnicate"),
        ("--versoin", "unknown option --versoin: did you mean --version?"),
        (
            "--no-rerun=true",
            "--no-rerun stands before the command: write stepkit COMMAND --no-rerun",
        ),
        (
            "--json git-clone",
            "--json stands before the command: write stepkit git-clone --json",
        ),
        ("-q schema run", "-q stands before the command: write stepkit schema -q"),
        ("--log-level DEBUG greet", "--log-level stands before the command: write stepkit greet "),
        ("-x schema", "unknown option -x"),
        ("schema run --bogus", "unknown option --bogus"),
        ("greet --name=x extra", "unexpected argument 'extra'"),
        ("greet --name=x -z", "unknown option -z"),
        ("greet --nmae=x", "unknown option --nmae: did you mean --name?"),
        ("greet --nmae x", "unknown option --nmae: did you mean --name?"),
        ("greet --limit=0 --lout", "unknown option --lout: did you mean --loud?"),
        ("greet --limit=0 -- --lout", "argument --limit/-l: '0' is too low: at least 1"),
        ("greet --token=x", "unknown option --token: a secret has no flag, set GREETING_TOKEN"),
        ("execute-notebook --notebok a", "unknown option --notebok: did you mean --notebook?"),
        (
            "execute-notebook a b --cell-timeout=3",
            "unknown option --cell-timeout: did you mean --execution-timeout?",
        ),
        ("git-clone --quite", "unknown option --quite: did you mean --quiet?"),
        ("execute-notebook", "the following arguments are required: --notebook, --output"),
        ("execute-notebook a", "the following arguments are required: --output"),
        ("execute-notebook a b c", "unexpected argument 'c'"),
        (
            "execute-notebook a --notebook=b",
            "--notebook is given twice: as a flag and as the argument 'a'",
        ),
    ],
)
def test_a_wrong_word_is_named_with_the_one_that_was_meant(
    register: Register, capsys: pytest.CaptureFixture[str], words: str, answer: str
) -> None:
    del register
    said = refused(capsys, *words.split())

    assert said.startswith(answer) if answer.endswith(" ") else said == answer


@pytest.mark.parametrize(
    "words",
    [
        ["IN", "OUT", "-p", "n", "5"],
        ["-p", "n", "5", "IN", "OUT"],
        ["IN", "-p", "n", "5", "OUT"],
        ["IN", "--parameters=n=5", "--output", "OUT"],
        ["--notebook=IN", "--output=OUT", "-p", "n", "5"],
    ],
)
def test_execute_notebook_takes_its_files_as_papermill_does(
    tmp_path: Path, words: list[str]
) -> None:
    given = [
        word.replace("IN", f"{tmp_path}/a.ipynb").replace("OUT", f"{tmp_path}/b.ipynb")
        for word in words
    ]

    assert cli.main(["execute-notebook", *given, f"--report={tmp_path}/r.json"]) == 2

    options = json.loads((tmp_path / "r.json").read_text())["options"]
    assert options["notebook"] == f"{tmp_path}/a.ipynb"
    assert options["output"] == f"{tmp_path}/b.ipynb"
    assert options["parameters"] == ["n=5"]


def test_an_empty_file_is_not_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["execute-notebook", "--notebook=", "--output=x"]) == 2

    assert "error: --notebook is empty: notebook to execute" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["help", "git-clone"], ["help"]])
def test_help_is_a_word_too(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    said = []
    for given in (words, [*words[1:], "--help"]):
        with pytest.raises(SystemExit) as stop:
            cli.main(given)
        assert stop.value.code == 0
        said.append(capsys.readouterr().out)

    assert said[0] == said[1] != ""
