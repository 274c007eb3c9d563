"""Ctrl-C and SIGTERM end the children, still run ``finally``, and a second one ends at once."""

import json
import logging
import os
import signal
import time
from typing import Any

import pytest
from run_local.conftest import Command, Local
from waiting import until

from stepkit.errors import Cancelled

W = "$(workspaces.shared.path)"


def last(on_machine: Local, command: str, **params: str) -> dict[str, Any]:
    return on_machine.task(
        "last",
        command,
        _params=[{"name": name} for name in params],
        params=[{"name": name, "value": value} for name, value in params.items()],
    )


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_the_running_tasks_and_finally_still_runs(
    on_machine: Local,
    command: type[Command],
    signum: int,
    code: int,
) -> None:
    asked = f"trap 'touch {W}/asked; exit 0' TERM; touch {W}/on; sleep 60 & wait"
    statuses = {"one": "$(tasks.slow.status)", "two": "$(tasks.never.status)",
                "why": "$(tasks.slow.reason)"}  # fmt: skip
    statuses_line = f"echo $(params.one) $(params.two) $(params.why) > {W}/statuses"
    on_machine.write(
        on_machine.task("slow", asked),
        on_machine.task("never", f"touch {W}/never", runAfter=["slow"]),
        **{"finally": [last(on_machine, statuses_line, **statuses)]},
    )
    report = on_machine.directory / "report.json"
    run = command(on_machine.directory, str(on_machine.file), "--report", str(report),
                  "--workspace", f"shared={on_machine.shared}")  # fmt: skip
    until((on_machine.shared / "on").exists)
    run.stop(signum)
    ended, _, stderr = run.end()
    assert ended == code
    assert (on_machine.shared / "asked").exists()
    assert not (on_machine.shared / "never").exists()
    assert on_machine.read("statuses") == "Failed None TaskRunCancelled\n"
    content = json.loads(report.read_text())
    assert content["status"] == "cancelled"
    assert [row["status"] for row in content["outputs"]["tasks"]] == [
        "Failed",
        "Skipped",
        "Succeeded",
    ]
    assert "Traceback" not in stderr
    assert stderr.splitlines()[-1].endswith("[cancelled]")


def test_a_second_signal_ends_at_once_even_what_ignores_the_first(
    on_machine: Local, command: type[Command]
) -> None:
    deaf = f"trap '' TERM; echo $$$$ > {W}/pid; touch {W}/on; while true; do sleep 1; done"
    on_machine.write(
        on_machine.task("slow", deaf),
        **{"finally": [on_machine.task("last", f"touch {W}/last")]},
    )
    run = command(
        on_machine.directory, str(on_machine.file), "--workspace", f"shared={on_machine.shared}"
    )
    until((on_machine.shared / "on").exists)
    run.stop()
    time.sleep(0.5)
    assert run.process.poll() is None
    started = time.monotonic()
    run.stop()
    ended, _, stderr = run.end()
    assert ended == 130
    assert time.monotonic() - started < 5
    assert not (on_machine.shared / "last").exists()
    assert "Traceback" not in stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int(on_machine.read("pid")), 0)


def test_a_second_ctrl_c_while_the_first_is_logged_loses_no_outputs(on_machine: Local) -> None:
    class Impatient(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("stopping"):
                os.kill(os.getpid(), signal.SIGINT)

    impatient = Impatient()
    logging.getLogger("stepkit").addHandler(impatient)
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            on_machine.run(on_machine.task("slow", "kill -INT $PPID; sleep 60"))
    finally:
        logging.getLogger("stepkit").removeHandler(impatient)

    assert isinstance(caught.value, Cancelled)
    assert caught.value.signum == signal.SIGINT
    assert on_machine.statuses(caught.value.outputs) == {"slow": "Failed"}


def test_a_signal_while_finally_runs_lets_it_end(on_machine: Local, command: type[Command]) -> None:
    on_machine.write(
        on_machine.task("t", "true"),
        **{"finally": [on_machine.task("last", f"touch {W}/on; sleep 1; touch {W}/whole")]},
    )
    run = command(
        on_machine.directory, str(on_machine.file), "--workspace", f"shared={on_machine.shared}"
    )
    until((on_machine.shared / "on").exists)
    run.stop()
    ended, _, _ = run.end()
    assert ended == 130
    assert (on_machine.shared / "whole").exists()


def test_the_command_line_reports_tasks_and_pipeline_results(
    on_machine: Local, command: type[Command]
) -> None:
    on_machine.write(
        on_machine.task("t", "echo hello; printf abc > $(results.r.path)", _results=["r"]),
        results=[{"name": "commit", "value": "$(tasks.t.results.r)"}],
    )
    report = on_machine.directory / "report.json"
    run = command(on_machine.directory, str(on_machine.file), "--report", str(report),
                  "--workspace", f"shared={on_machine.shared}", "--run", "night")  # fmt: skip
    code, stdout, stderr = run.end()
    assert code == 0
    assert 'results={"commit": "abc"}' in stdout
    assert stderr.splitlines()[-1].endswith(": 1 of 1 tasks succeeded")
    assert "INFO [t] hello" in stderr
    row = json.loads(report.read_text())["outputs"]["tasks"][0]
    assert (row["task"], row["status"], row["reason"]) == ("t", "Succeeded", "Succeeded")


def test_secrets_of_the_callers_environment_do_not_reach_the_children(
    on_machine: Local, command: type[Command]
) -> None:
    on_machine.write(on_machine.task("t", f"echo token=$GIT_TOKEN > {W}/env"))
    run = command(
        on_machine.directory,
        str(on_machine.file),
        "--workspace",
        f"shared={on_machine.shared}",
        env={"GIT_TOKEN": "s3cret"},
    )
    assert run.end()[0] == 0
    assert on_machine.read("env") == "token=\n"
