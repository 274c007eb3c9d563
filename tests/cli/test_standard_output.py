"""stdout has the report, the answer of a command, or a line for each output; never two of them."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import pytest
from commands import stepkit
from greeting import Options as GreetOptions
from greeting import Outputs as GreetOutputs
from greeting import Register, raising

from stepkit import steps
from stepkit.cli import commands
from stepkit.cli import main as cli
from stepkit.errors import ToolError, UserCodeError
from stepkit.options import POSITIONAL, PRINTED


@dataclass(frozen=True, kw_only=True)
class Options:
    first: Annotated[str, "what to spell", POSITIONAL]
    second: Annotated[str, "what follows, 100 % of it", POSITIONAL] = "nothing"
    rest: Annotated[tuple[Path, ...], "more", POSITIONAL] = ()
    wrong: Annotated[bool, "whether to fail"] = False


@dataclass(frozen=True, kw_only=True)
class Outputs:
    text: Annotated[str, "the answer", PRINTED]
    letters: Annotated[int, "how many"] = 0


def spell(options: Options) -> Outputs:
    if options.wrong:
        raise UserCodeError("cannot spell this")
    words = (options.first, options.second, *map(str, options.rest))
    return Outputs(text="\n".join(words) + "\n", letters=len("".join(words)))


@pytest.fixture(autouse=True)
def command(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace(__doc__="Spell.", Options=Options, Outputs=Outputs, run=spell)
    monkeypatch.setitem(sys.modules, "spell_command", module)
    every = steps.Registry({**steps.MODULES, **commands.MODULES, "spell": "spell_command"})
    monkeypatch.setattr(commands, "COMMANDS", every)


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["a"], "a\nnothing\n"),
        (["a", "b"], "a\nb\n"),
        (["a", "b", "c", "d"], "a\nb\nc\nd\n"),
        (["--wrong=false", "a", "b"], "a\nb\n"),
    ],
)
def test_a_command_that_answers_prints_the_answer_and_says_nothing_else(
    capsys: pytest.CaptureFixture[str], words: list[str], printed: str
) -> None:
    assert cli.main(["spell", *words]) == 0

    said = capsys.readouterr()
    assert (said.out, said.err) == (printed, "")


def test_the_arguments_of_a_command_are_in_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["spell", "--help"])

    said = " ".join(capsys.readouterr().out.split())
    assert "FIRST [SECOND] [REST ...]" in said
    assert "SECOND what follows, 100 % of it (default: nothing)" in said


def test_a_command_that_cannot_answer_prints_nothing_and_says_why(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["spell", "a", "--wrong"]) == 3

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "stepkit spell: error: cannot spell this [cell-error]\n"


def test_an_empty_argument_is_named_by_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["spell", ""]) == 2

    assert "stepkit spell: error: FIRST is empty: what to spell" in capsys.readouterr().err


def test_an_answer_keeps_its_lines_and_colours_and_starts_no_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hostile = "\x1b[31mred\x1b[0m\n  ::stop-commands::x\n::error::\ry\x1b[2J ##[group]"
    shown = "\x1b[31mred\x1b[0m\n  \\x3a:stop-commands::x\n\\x3a:error::\\ry\\x1b[2J #\\x23[group]"

    assert cli.main(["spell", hostile, "end"]) == 0

    assert capsys.readouterr().out == f"{shown}\nend\n"


@pytest.mark.parametrize("flags", [["--json"], ["--report=-"], ["--report", "-"]])
def test_the_report_on_stdout_stands_alone(
    capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    assert cli.main(["spell", "::error:: ##[x]\x7f", *flags]) == 0

    printed = capsys.readouterr().out
    report = json.loads(printed)
    assert (report["schema"], report["step"]) == ("stepkit.report/2", "spell")
    assert report["outputs"] == {"text": "::error:: ##[x]\x7f\nnothing\n", "letters": 23}
    assert "##[" not in printed
    assert "\x7f" not in printed


def test_the_report_goes_to_a_file_and_to_stdout_alike(
    register: Register, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    register(lambda _: GreetOutputs(said_words="hello"))
    file = tmp_path / "r.json"

    assert cli.main(["greet", "--name=you", "--json", f"--report={file}"]) == 0

    assert json.loads(capsys.readouterr().out) == json.loads(file.read_text())
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


def test_the_report_on_stdout_masks_secrets_and_says_how_a_step_failed(
    register: Register, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GREETING_TOKEN", "s3cret-token")
    register(raising(ToolError("it said s3cret-token", outputs=GreetOutputs(said_words="half"))))

    assert cli.main(["greet", "--name=you", "--json"]) == 4

    report = json.loads(capsys.readouterr().out)
    assert (report["status"], report["exit_code"]) == ("failed", 4)
    assert report["message"] == "it said ***"
    assert report["outputs"]["said-words"] == "half"


@pytest.mark.parametrize(
    "words",
    [
        ["collect-artifacts", "--json", "--typo=x"],
        ["collect-artifacts", "--report", "-", "--artifacts"],
        ["--json", "collect-artifact"],
    ],
)
def test_wrong_arguments_are_a_report_on_stdout_too(tmp_path: Path, words: list[str]) -> None:
    done = stepkit(*words, cwd=tmp_path)

    assert done.returncode == 2
    report = json.loads(done.stdout)
    assert (report["status"], report["reason"]) == ("failed", "bad-input")
    assert report["message"] in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_bug_is_a_report_on_stdout_too(
    register: Register, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: GreetOptions) -> GreetOutputs:
        raise LookupError("typo")

    register(broken)

    with pytest.raises(LookupError):
        cli.main(["greet", "--name=you", "--json"])

    assert json.loads(capsys.readouterr().out)["reason"] == "bug"


def on_terminal(*words: str | Path) -> str:
    """Return what the stdout of a command is where that is a terminal."""
    reader, writer = os.openpty()
    command = [sys.executable, "-P", "-m", "stepkit", *words]
    env = {**os.environ, "TERM": "xterm"}
    subprocess.run(command, stdout=writer, stderr=subprocess.DEVNULL, env=env, check=False)
    os.close(writer)
    printed = os.read(reader, 10_000).decode()
    os.close(reader)
    return printed.replace("\r\n", "\n")


def test_a_terminal_gets_the_files_of_a_step_and_no_other_outputs(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")

    printed = on_terminal("collect-artifacts", "--artifacts", tmp_path)

    assert printed == f"manifest: {tmp_path}/manifest.json\n"


def test_a_terminal_gets_the_files_and_a_hint_after_a_failure(tmp_path: Path) -> None:
    printed = on_terminal("collect-artifacts", "--artifacts", tmp_path, "--expect", "page.html")

    manifest, advice = printed.splitlines()
    assert manifest == f"manifest: {tmp_path}/manifest.json"
    assert advice == "what to try: stepkit explain artifact-missing"
