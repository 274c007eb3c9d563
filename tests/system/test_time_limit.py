"""A call that blocks is waited for until a time limit."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import waiting

from stepkit.system import time_limit
from stepkit.system.time_limit import Caller


def test_a_call_returns_or_raises_what_its_function_does() -> None:
    assert time_limit.within(waiting.SOON, lambda: 5) == 5
    with pytest.raises(ZeroDivisionError):
        time_limit.within(waiting.SOON, lambda: 1 // 0)


def test_a_call_that_takes_too_long_is_given_up_and_ends_later() -> None:
    over, ended = threading.Event(), threading.Event()

    def wait() -> None:
        over.wait()
        ended.set()

    caller = Caller()
    with pytest.raises(TimeoutError):
        caller.call(wait, 0.01)
    caller.end()

    over.set()
    assert ended.wait(waiting.SOON)


def test_a_call_that_never_ends_does_not_keep_the_process(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    code = """
import sys
from pathlib import Path
from stepkit.system import time_limit
try:
    time_limit.within(0.01, Path(sys.argv[1]).read_bytes)
except TimeoutError:
    print("given up")
"""
    command = [sys.executable, "-c", code, str(tmp_path / "pipe")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=waiting.SOON
    )

    assert (done.returncode, done.stdout) == (0, "given up\n")
