"""The log on stderr in the format of its reader."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import commands
import github_commands
import pytest
from greeting import Options, Outputs, Register, raising

from stepkit.cli import main as cli
from stepkit.errors import Place, UserCodeError
from stepkit.system import logfile, stepkit_process


def test_the_log_is_json_or_annotations_when_asked(
    register: Register, capsys: pytest.CaptureFixture[str]
) -> None:
    def warn(_: Options) -> Outputs:
        import logging

        logging.getLogger("greeter").warning("mind %s", "the step")
        return Outputs(said_words="")

    register(warn)

    cli.main(["greet", "--name=you", "--log-format=ci"])
    assert "::warning::mind the step" in capsys.readouterr().err.splitlines()
    cli.main(["greet", "--name=you", "--log-format=json"])
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines[1]["severity"] == "WARNING"
    assert lines[1]["body"] == "mind the step"
    assert lines[-1]["body"].startswith("stepkit greet: succeeded in ")


HOSTILE = (
    "a\n::stop-commands::t\r::error::x\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m"
    "\u2028::add-mask::b ##[c]"
)
SHOWN = r"a\n::stop-commands::t\r::error::x\x1b]0;title\x07\x1b[2Jred\u2028::add-mask::b #\x23[c]"


def fail(_: Options) -> Outputs:
    """Log, return and raise what a notebook, a child or the name of a file may hold."""
    import logging

    for level in (logging.INFO, logging.WARNING, logging.ERROR):
        logging.getLogger("greeter").log(level, "%s", HOSTILE)
    raise UserCodeError(HOSTILE, outputs=Outputs(said_words=HOSTILE))


@pytest.mark.parametrize("kind", ["plain", "ci", "json"])
def test_no_text_begins_a_line_or_a_command_of_the_log(
    kind: str, register: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    register(fail)

    assert cli.main(["greet", "--name=you", f"--log-format={kind}"]) == 3

    said = capsys.readouterr()
    assert said.out.split("\n")[0] == f"said-words={SHOWN}"
    lines = said.err.split("\n")
    assert lines.pop() == ""
    assert len(lines) == 5
    assert "##[" not in said.err
    assert all(character.isprintable() for line in lines for character in line)
    if kind == "json":
        assert [json.loads(line)["body"] for line in lines[1:4]] == [HOSTILE] * 3
        assert HOSTILE in json.loads(lines[4])["body"]
        return
    commands = [line for line in lines if line.startswith("::")]
    verdict = f"::error::stepkit greet: {SHOWN} [cell-error]"
    ours = [*(f"::{level}::{SHOWN}" for level in ("warning", "error")), verdict]
    assert commands == (ours if kind == "ci" else [])
    assert lines[1].endswith(f"Z INFO {SHOWN}")
    if kind == "plain":
        assert lines[4] == f"stepkit greet: error: {SHOWN} [cell-error]"


PLACE = Place(title="cell 2 of 4", file="a,b.ipynb", line=7)


@pytest.fixture
def on_github(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")


@pytest.mark.usefixtures("on_github")
def test_the_last_line_of_a_failure_on_github_is_an_error_where_it_happened(
    register: Register, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    register(raising(UserCodeError("cell 2 of 4 raised KeyError: 50 %", place=PLACE)))

    assert cli.main(["greet", "--name=you", f"--report={tmp_path}/r.json"]) == 3

    properties = {"title": "cell 2 of 4", "file": "a,b.ipynb", "line": "7"}
    text = "cell 2 of 4 raised KeyError: 50 % [cell-error]"
    said = capsys.readouterr()
    last = github_commands.Command(name="error", text=text, properties=properties)
    assert github_commands.commands(said.err) == [last]
    assert github_commands.commands(said.err.splitlines()[-1]) == [last]
    place = json.loads((tmp_path / "r.json").read_text())["place"]
    assert place == {"title": "cell 2 of 4", "file": "a,b.ipynb", "line": 7}


@pytest.mark.usefixtures("on_github")
def test_an_annotation_names_the_file_in_its_repository(
    register: Register, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "source/.git").mkdir(parents=True)
    notebook = tmp_path / "source/a.ipynb"
    notebook.write_text("{}")
    register(raising(UserCodeError("it failed", place=replace(PLACE, file=str(notebook)))))

    cli.main(["greet", "--name=you"])

    (error,) = github_commands.commands(capsys.readouterr().err.splitlines()[-1])
    assert error.properties["file"] == "a.ipynb"


def test_the_last_line_of_a_failure_in_tekton_is_an_error_without_parameters(
    register: Register, capsys: pytest.CaptureFixture[str]
) -> None:
    register(raising(UserCodeError("cell 2 of 4 raised KeyError: 50 %", place=PLACE)))

    cli.main(["greet", "--name=you", "--log-format=ci"])

    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "::error::cell 2 of 4 raised KeyError: 50 % [cell-error]"


@pytest.mark.usefixtures("on_github")
def test_tolerated_errors_are_a_warning_and_a_success_is_none(
    register: Register, capsys: pytest.CaptureFixture[str]
) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Tolerant(Outputs):
        status: str = "tolerated"
        message: str = "1 error, declared"

    register(lambda _: Tolerant(said_words=""))
    assert cli.main(["greet", "--name=you"]) == 0
    (warning,) = github_commands.commands(capsys.readouterr().err)
    assert (warning.name, warning.properties) == ("warning", {"title": "stepkit greet"})
    assert warning.text.endswith(" s: 1 error, declared")

    register(lambda _: Outputs(said_words=""))
    assert cli.main(["greet", "--name=you"]) == 0
    assert github_commands.commands(capsys.readouterr().err) == []


def test_wrong_arguments_are_said_in_the_format_that_is_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["collect-artifacts", "--typo", "--log-format=json"])

    event = json.loads(capsys.readouterr().err)
    assert event["severity"] == "ERROR"
    assert "unknown option --typo" in event["body"]


@pytest.mark.usefixtures("on_github")
def test_wrong_arguments_are_an_error_on_github(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["collect-artifacts", "--artifacts=x", "--typo"])

    (error,) = github_commands.commands(capsys.readouterr().err)
    assert error.properties == {"title": "stepkit collect-artifacts"}
    assert error.text.startswith("unknown option --typo")


def log_a_block(_: Options) -> Outputs:
    """Log an error in four lines, the last of which is hostile."""
    logfile.log_block(logging.getLogger("greeter"), logging.ERROR, "why %d", ["a", "b", "::c::d"])
    return Outputs(said_words="")


@pytest.mark.usefixtures("on_github")
def test_github_folds_a_block_and_takes_none_of_its_lines_for_an_annotation(
    register: Register, capsys: pytest.CaptureFixture[str]
) -> None:
    register(log_a_block)

    cli.main(["greet", "--name=you"])

    lines = capsys.readouterr().err.splitlines()[1:6]
    assert [lines[0], lines[4]] == ["::group::why %25d", "::endgroup::"]
    assert [line.partition("Z ")[2] for line in lines[1:4]] == [
        "ERROR a",
        "ERROR b",
        "ERROR ::c::d",
    ]


@pytest.mark.parametrize("kind", ["plain", "ci"])
def test_a_block_is_plain_lines_elsewhere(
    kind: str, register: Register, capsys: pytest.CaptureFixture[str]
) -> None:
    register(log_a_block)

    cli.main(["greet", "--name=you", f"--log-format={kind}"])

    lines = capsys.readouterr().err.splitlines()[1:5]
    shown = [line.partition("Z ")[2] for line in lines]
    assert shown == ["ERROR why %d", "ERROR a", "ERROR b", "ERROR ::c::d"]


def test_a_block_of_a_child_is_a_block_of_its_parent(caplog: pytest.LogCaptureFixture) -> None:
    event = {"severity": "ERROR", "body": "why", "logger": "stepkit.engine"}
    with caplog.at_level(logging.INFO):
        for block in ("begin", "end", "odd", ["x"]):
            stepkit_process._relay("a", json.dumps(event | {"block": block}))
        stepkit_process._relay("a", json.dumps(event | {"logger": "stepkit"}))

    blocks = [getattr(record, "block", None) for record in caplog.records]
    assert blocks == ["begin", "end", None, None, "inside"]
    assert {record.getMessage() for record in caplog.records} == {"a | why"}


def test_the_environment_says_what_auto_means(
    register: Register, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    register(raising(UserCodeError("no")))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("STEPKIT_LOG_FORMAT", "plain")

    cli.main(["greet", "--name=you"])
    assert capsys.readouterr().err.splitlines()[-1] == "stepkit greet: error: no [cell-error]"
    cli.main(["greet", "--name=you", "--log-format=ci"])
    assert capsys.readouterr().err.splitlines()[-1].startswith("::error title=stepkit greet::")


def test_a_usage_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["collect-artifacts", "--artifacts=x", "--a\n::error::b"])

    assert capsys.readouterr().err.count("\n") == 1


BUG = """
from stepkit.cli import log

log.configure("ci", ["s3cret"])
raise RuntimeError("a\\n::stop-commands::t\\n\\x1b[2J s3cret")
"""


def test_the_traceback_of_a_bug_is_masked_and_starts_no_command() -> None:
    done = commands.python("-c", BUG)

    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0].endswith(" ERROR Traceback (most recent call last):")
    assert lines[-2:] == [lines[-2], r"::error::\x1b[2J ***"]
    assert lines[-2].endswith(" ERROR ::stop-commands::t")
    assert [line for line in lines if line.startswith("::")] == lines[-1:]
    assert "s3cret" not in done.stderr


STRAY = """
import sys, threading, warnings
from stepkit.cli import log

log.configure("ci", ["s3cret"])
warnings.simplefilter("always")
warnings.warn("a\\n::stop-commands::t s3cret")

def broken():
    raise LookupError("b\\n::add-mask::x s3cret")

for target in (broken, sys.exit):
    thread = threading.Thread(target=target)
    thread.start()
    thread.join()

class Broken:
    def __del__(self):
        raise ValueError("c\\n::debug::x s3cret")

broken = Broken()
del broken
"""


def test_what_python_itself_prints_starts_no_command() -> None:
    done = commands.python("-c", STRAY)

    assert done.returncode == 0
    found = github_commands.commands(done.stderr)
    assert [(command.name, command.text) for command in found] == [
        ("warning", found[0].text),
        ("error", "::add-mask::x ***"),
        ("warning", found[2].text),
    ]
    assert found[2].text.endswith(r": ValueError: c\n::debug::x ***")
    assert r"UserWarning: a\n::stop-commands::t ***" in found[0].text
    assert "s3cret" not in done.stderr
