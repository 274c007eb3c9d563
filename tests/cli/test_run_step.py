"""A step that a signal stops, wherever the signal comes."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from greeting import Options, Outputs, Register
from waiting import SOON

from stepkit.cli import main as cli
from stepkit.cli import step_report
from stepkit.errors import UserCodeError
from stepkit.step import StepResult


class SendsAtItsEnd:
    """Sends a signal from its destructor, where Python drops the exception of the handler."""

    def __init__(self, signum: int) -> None:
        self.signum = signum

    def __del__(self) -> None:
        os.kill(os.getpid(), self.signum)


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_step_ends_though_python_drops_the_exception_of_the_signal(
    register: Register, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signum: int, code: int
) -> None:
    dropped: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", dropped.append)

    def work(_: Options) -> Outputs:
        SendsAtItsEnd(signum)
        time.sleep(SOON)
        return Outputs(said_words="it went on")

    register(work)

    assert cli.main(["greet", "--name=you", f"--report={tmp_path}/r.json"]) == code

    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["status"], report["exit_code"]) == ("cancelled", code)
    assert report["message"] == f"stopped by {signal.Signals(signum).name}"
    assert len(dropped) == 1


def test_a_signal_after_the_step_has_failed_does_not_hide_why(
    register: Register, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Options) -> Outputs:
        monkeypatch.setattr(step_report, "complete", interrupted)
        raise UserCodeError("no")

    def interrupted(result: StepResult, options: Options) -> StepResult:
        os.kill(os.getpid(), signal.SIGTERM)
        return complete(result, options)

    complete = step_report.complete
    register(fail)

    assert cli.main(["greet", "--name=you", f"--report={tmp_path}/r.json"]) == 3
    assert json.loads((tmp_path / "r.json").read_text())["reason"] == "cell-error"
