"""The log on stderr in the format of its reader."""

import json

import pytest
from greeting import Options, Outputs, Register

from stepkit.cli import main as cli


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
