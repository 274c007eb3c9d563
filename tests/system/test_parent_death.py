"""Children that end with their parent; test_execute_notebooks.py has whole notebooks."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import commands

from stepkit.system import parent_death, stepkit_process


def version(**more: str) -> subprocess.CompletedProcess[str]:
    return commands.stepkit("--version", env={**os.environ, **more})


def test_a_command_runs_as_usual_while_its_parent_lives() -> None:
    done = version(**parent_death.child_environment())

    assert done.returncode == 0
    assert done.stdout.startswith("stepkit ")


def test_a_command_whose_parent_is_gone_already_ends_as_by_sigterm() -> None:
    done = version(**{parent_death.VARIABLE: "999999999"})

    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGTERM, "", "")


def test_the_end_of_another_thread_does_not_end_a_child(tmp_path: Path) -> None:
    """The child ends with the thread that started it, and that thread waits for it."""
    ended: list[int] = []

    def run(pipe: Path) -> None:
        artifacts = pipe.with_suffix(".artifacts")
        artifacts.mkdir()
        flags = [f"--artifacts={artifacts}", f"--result=status={pipe}"]
        done = stepkit_process.run(
            ["collect-artifacts", *flags],
            prefix=pipe.name,
            env={},
            stop=threading.Event(),
            kill=threading.Event(),
            grace=1.0,
        )
        ended.append(done.code)

    pipes = [tmp_path / "a", tmp_path / "b"]
    runs = [threading.Thread(target=run, args=(pipe,)) for pipe in pipes]
    for pipe in pipes:
        os.mkfifo(pipe)
    for thread in runs:
        thread.start()
    while not all(
        pipe.with_suffix(".artifacts").joinpath("manifest.json").exists() for pipe in pipes
    ):
        assert not ended
        other = threading.Thread(target=time.sleep, args=(0.02,))
        other.start()
        other.join()
    assert pipes[0].read_text() == "succeeded"
    runs[0].join()
    assert pipes[1].read_text() == "succeeded"  # it outlives the other's thread
    runs[1].join()

    assert ended == [0, 0]


def test_only_a_child_with_the_variable_ends_with_its_parent_and_the_variable_is_removed() -> None:
    code = (
        "import os; from stepkit.system import parent_death;"
        "parent_death.end_with_parent(os.environ);"
        f"assert {parent_death.VARIABLE!r} not in os.environ;"
        "import ctypes; n = ctypes.c_int(-1); ctypes.CDLL(None).prctl(2, ctypes.byref(n));"
        "print(n.value)"
    )
    said = {
        tied: subprocess.check_output(
            [sys.executable, "-c", code], env={**os.environ, **more}, text=True
        ).strip()
        for tied, more in (("yes", parent_death.child_environment()), ("no", {}))
    }

    assert said == {"yes": str(int(signal.SIGTERM)), "no": "0"}
