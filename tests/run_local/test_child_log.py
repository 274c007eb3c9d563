"""run-local logs what its steps log, with --verbose also what they note to find a fault."""

import logging
import sys

import pytest
from run_local.conftest import Local

from stepkit.run_local.child_log import ask_for_all

STEPKIT = [sys.executable, "-P", "-m", "stepkit"]


@pytest.mark.parametrize(("level", "noted"), [(logging.DEBUG, True), (logging.INFO, False)])
def test_the_steps_are_as_verbose_as_run_local(
    on_machine: Local, caplog: pytest.LogCaptureFixture, level: int, *, noted: bool
) -> None:
    caplog.set_level(level, "stepkit")

    on_machine.run(on_machine.task("say", *STEPKIT, "explain", "killed"))

    lines = [(r.levelno, r.getMessage()) for r in caplog.records if "explain: started" in r.message]
    assert lines == ([(logging.DEBUG, "[say] explain: started")] if noted else [])


@pytest.mark.parametrize(
    "argv",
    [
        ["sh", "-c", "true"],
        [*STEPKIT, "explain", "killed", "--quiet"],
        [*STEPKIT, "explain", "killed", "--log-level=INFO"],
    ],
)
def test_another_program_and_a_step_that_chose_its_log_get_no_flag(
    caplog: pytest.LogCaptureFixture, argv: list[str]
) -> None:
    caplog.set_level(logging.DEBUG, "stepkit")

    assert ask_for_all(argv) == argv
