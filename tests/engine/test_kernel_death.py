"""Who ended the kernel, from real ones that die: each run takes about a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from runs import execute, statuses

from stepkit.errors import Reason, StepError, ToolError, UserCodeError
from stepkit.notebook import verdict as notebook_verdict

if TYPE_CHECKING:
    from pathlib import Path

START = "import os, signal, subprocess, threading, time\nprint('begun', flush=True)\n"


def death(directory: Path, code: str) -> StepError:
    """Execute a cell that ends its kernel, between two others; return the verdict."""
    outcome = execute(directory, "1", START + code, "3")
    assert statuses(outcome) == ["ok", "stopped", "not-run"]
    with pytest.raises(StepError) as caught:
        notebook_verdict.judge(outcome.execution)
    assert caught.value.reason == Reason.KERNEL_DIED
    assert "begun" in str(outcome.notebook.cells)
    return caught.value


@pytest.mark.parametrize(
    ("code", "function"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "os.kill"),
        *(
            pytest.param(code, code.partition("(")[0], marks=pytest.mark.slow)
            for code in (
                "os.killpg(0, 9)",
                "os.kill(0, 9)",
                "os.kill(-os.getpgrp(), 9)",
                "signal.raise_signal(signal.SIGTERM)",
                "signal.pthread_kill(threading.get_ident(), signal.SIGKILL)",
                "os.abort()",
                "os.kill(os.getpid(), signal.SIGRTMIN + 6)",
            )
        ),
        pytest.param(
            "if not os.fork(): os.kill(os.getppid(), 9)\ntime.sleep(9)",
            "os.kill",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_kernel_that_kills_itself_is_the_notebooks_own_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, code: str, function: str
) -> None:
    error = death(tmp_path, f"{code}\nprint('never')")

    line = next(line for line in code.split("\n") if function in line)
    assert type(error) is UserCodeError
    assert "the kernel killed itself with " in str(error)
    assert f"in cell 2 of 3 (`{line}`)" in str(error)
    assert f": {function}" in caplog.text


def test_what_a_kernel_printed_before_it_killed_itself_is_kept(tmp_path: Path) -> None:
    outcome = execute(tmp_path, "import os\nprint('last words')\nos.kill(os.getpid(), 9)")

    assert statuses(outcome) == ["stopped"]
    outputs = [text for cell in outcome.notebook.cells for text in cell.get("outputs", ())]
    assert [output.text for output in outputs] == ["last words\n"]


@pytest.mark.slow
@pytest.mark.parametrize("signum", ["KILL", "TERM"])
def test_a_kernel_that_another_process_kills_has_an_unknown_sender(
    tmp_path: Path, signum: str
) -> None:
    error = death(tmp_path, f"subprocess.run(['kill', '-{signum}', str(os.getpid())])")

    assert type(error) is ToolError
    assert f"killed by SIG{signum} in cell 2 of 3" in str(error)
    assert "sender unknown" in str(error)


def test_signals_that_do_not_end_the_kernel_are_not_noted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code = (
        "os.kill(os.getpid(), 0)\n"
        "signal.signal(signal.SIGTERM, print); signal.raise_signal(signal.SIGTERM)\n"
        "child = os.fork()\n"
        "if not child: os.kill(os.getpid(), signal.SIGKILL)\n"
        "os.waitpid(child, 0)\n"
        "try: os.kill(os.getpid(), 'x')\n"
        "except TypeError: print('refused')\n"
    )
    outcome = execute(tmp_path, START + code)

    assert statuses(outcome) == ["ok"]
    assert "refused" in str(outcome.notebook.cells)
    assert "the kernel sends itself" not in caplog.text
