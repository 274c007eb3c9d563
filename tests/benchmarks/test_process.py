"""How a command is measured; nothing here asserts a time."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import psutil

from benchmarks import process

if TYPE_CHECKING:
    from pathlib import Path


def run(program: str, tmp_path: Path, limit: float = 60) -> process.Run:
    return process.run([sys.executable, "-c", program], cwd=tmp_path, limit=limit)


def test_measures_time_memory_and_the_first_output_of_a_process(tmp_path: Path) -> None:
    program = "import time; print('hi', flush=True); x = b'x' * 100_000_000; time.sleep(0.5)"

    done = run(program, tmp_path)

    assert done.code == 0
    assert done.output == "hi\n"
    assert done.usage.wall >= 0.5
    assert done.usage.first_output is not None
    assert done.usage.first_output < done.usage.wall
    assert done.usage.runner_memory > 100_000_000


def test_a_kernel_is_not_counted_as_its_runner(tmp_path: Path) -> None:
    kernel = tmp_path / "kernel.py"
    kernel.write_text("import time\nx = b'x' * 100_000_000\ntime.sleep(0.5)\n")
    program = (
        "import subprocess, sys;"
        f"subprocess.run([sys.executable, {str(kernel)!r}, '-f', 'connection.json'])"
    )

    usage = run(program, tmp_path).usage

    assert usage.runner_memory < 60_000_000
    assert usage.tree_memory > 100_000_000
    assert usage.runner_cpu <= usage.tree_cpu


def uses_memory(pid: int) -> bool:
    try:
        return psutil.Process(pid).memory_info().rss > 0
    except psutil.NoSuchProcess:
        return False


def test_what_takes_too_long_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    program = (
        "import subprocess, time;"
        "p = subprocess.Popen(['sleep', '600'], start_new_session=True);"
        "print(p.pid, flush=True); time.sleep(600)"
    )

    done = run(program, tmp_path, limit=1)

    assert done.code is None
    sleeper = int(done.output)
    assert process.wait_until(lambda: not uses_memory(sleeper), 10)
