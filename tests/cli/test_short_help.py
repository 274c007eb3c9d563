"""-h shows the options that are needed most, --help all of them."""

import re

import pytest
from greeting import Register

from stepkit.cli import commands, short_help
from stepkit.cli import main as cli
from stepkit.options import declared


@pytest.mark.parametrize("name", [*commands.COMMANDS])
def test_at_most_ten_options_are_shown_and_those_that_are_required_are_among_them(
    name: str,
) -> None:
    every = [o for o in declared(commands.COMMANDS[name].Options) if not o.secret]

    shown, count = short_help.options(name)

    assert len(shown) <= 10
    assert count == len(every)
    assert {o.field.name for o in every if o.required} <= set(shown)
    assert len(shown) == min(count, 10) or name in short_help.NEEDED_MOST
    assert set(short_help.NEEDED_MOST.get(name, "").split()) <= {o.field.name for o in every}


def test_the_short_help_has_an_example_and_leads_to_the_long_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["execute-notebook", "-h"])

    assert ended.value.code == 0
    short = capsys.readouterr().out
    assert short.startswith("usage: stepkit execute-notebook [options] NOTEBOOK OUTPUT\n\nExecute ")
    assert "for example:\n    stepkit execute-notebook source/analysis.ipynb out/" in short
    assert re.search(r"\n\d\d more options: stepkit execute-notebook --help\n$", short)
    assert "--gpu auto|required|optional|none" in short
    assert "--rmm-mode" not in short
    assert len(short.splitlines()) < 50

    with pytest.raises(SystemExit):
        cli.main(["help", "execute-notebook"])
    long = capsys.readouterr().out
    assert "--rmm-mode" in long
    assert "--report FILE" in long
    assert "  -h                    show the options that are needed most\n" in long


def test_a_command_that_is_not_named_shows_all_of_its_few_options(
    register: Register, capsys: pytest.CaptureFixture[str]
) -> None:
    del register
    with pytest.raises(SystemExit):
        cli.main(["greet", "-h"])

    short = capsys.readouterr().out
    assert "--name NAME" in short
    assert "GREETING_TOKEN" not in short
    assert short.endswith("what every command takes: stepkit greet --help\n")


def test_a_command_that_is_not_named_shows_the_first_ten_of_its_many_options(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(short_help.NEEDED_MOST, "run-tests")

    shown, count = short_help.options("run-tests")

    assert len(shown) == 10 < count
    assert {"checkout", "artifacts", "inputs"} <= set(shown)
