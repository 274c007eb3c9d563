"""The log on stderr in the format of its reader."""

import json
from collections.abc import Callable

import commands
import pytest
from greeting import Options, Outputs, Register

from stepkit.cli import main as cli
from stepkit.errors import UserCodeError


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
    ours = [f"::{level}::{SHOWN}" for level in ("warning", "error")]
    assert commands == (ours if kind == "ci" else [])
    assert lines[1].endswith(f"Z INFO {SHOWN}")
    assert lines[4] == f"stepkit greet: error: {SHOWN} [cell-error]"


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
    assert lines[0].endswith(" INFO Traceback (most recent call last):")
    assert lines[-2:] == [lines[-2], r"::error::\x1b[2J ***"]
    assert lines[-2].endswith(" INFO ::stop-commands::t")
    assert [line for line in lines if line.startswith("::")] == lines[-1:]
    assert "s3cret" not in done.stderr
