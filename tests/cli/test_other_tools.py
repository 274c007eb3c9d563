"""An option of papermill or nbconvert that stepkit lacks is answered with what to write instead."""

import pytest
from click import Option
from nbconvert.nbconvertapp import NbConvertApp, nbconvert_aliases, nbconvert_flags
from papermill.cli import papermill

from stepkit.cli import commands, flags, misspelt, other_tools
from stepkit.cli import main as cli


def known(command: str) -> set[str]:
    return {*flags.spellings(commands.COMMANDS[command].Options), *misspelt.COMMON_FLAGS, "-h"}


def test_every_option_of_papermill_is_taken_or_answered() -> None:
    options = [param for param in papermill.params if isinstance(param, Option)]
    names = {name for option in options for name in (*option.opts, *option.secondary_opts)}
    assert {"--autosave-cell-every", "--prepare-only", "--no-progress-bar", "-p"} <= names

    unanswered = names - known("execute-notebook") - {"-v"}
    assert {n for n in unanswered if not other_tools.equivalent(n, "execute-notebook")} == set()


def test_every_option_of_nbconvert_is_taken_or_answered() -> None:
    names = {f"{'--' if len(n) > 1 else '-'}{n}" for n in {**nbconvert_flags, **nbconvert_aliases}}
    assert {"--to", "--execute", "--stdout", "-y"} <= names
    assert NbConvertApp.aliases.keys() >= nbconvert_aliases.keys()

    unanswered = names - known("convert-notebook")
    assert {
        name
        for name in unanswered
        if name != "--show-input" and not other_tools.equivalent(name, "convert-notebook")
    } == set()


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("execute-notebook a b --engine=nbclient", "--engine: stepkit is the engine: leave it out"),
        (
            "execute-notebook --prepare-only a b",
            "--prepare-only: a notebook is not written without",
        ),
        ("execute-notebook - -", "-: a notebook is read from a file, and written to one"),
        ("execute-notebook --version", "--version: write stepkit --version"),
        ("convert-notebook --to html --execute a.ipynb", "--execute: run execute-notebook first"),
        ("convert-notebook a.ipynb --stdout", "--stdout: a page is made from a file, to a file"),
        (
            "convert-notebook a.ipynb --ExecutePreprocessor.timeout=600",
            "--ExecutePreprocessor.timeout: nbconvert's configuration is not read",
        ),
        ("execute-notebook a b --Engine.x=1", "--Engine.x"),
        ("run-tests --engine=x --directory=y", "--engine"),
    ],
)
def test_the_answer_is_one_line(
    capsys: pytest.CaptureFixture[str], words: str, answer: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(words.split())

    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert f"error: unknown option {answer}" in said
    assert said.count("\n") == 1
