"""What a notebook leaves running is ended and told; nobody else's process is touched."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from runs import execute, statuses

from stepkit.engine import process_tree
from stepkit.engine.process_tree import Family
from stepkit.system import process

if TYPE_CHECKING:
    from pathlib import Path

SLEEPER = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"


def detached(code: str) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, as a kernel does."""
    child = subprocess.Popen(
        [sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE
    )
    assert child.stdout
    child.stdout.readline()
    child.stdout.close()
    return child


def orphan(code: str) -> psutil.Process:
    """Start a process whose parent ends."""
    inner = f"Popen([sys.executable, '-c', {code!r}], stdout=DEVNULL)"
    starts = f"import sys; from subprocess import DEVNULL, Popen; print({inner}.pid)"
    done = subprocess.run(
        [sys.executable, "-c", starts], start_new_session=True, check=True, stdout=subprocess.PIPE
    )
    pid = int(done.stdout.split()[0])
    assert psutil.Process(pid).ppid() == os.getpid()
    return psutil.Process(pid)


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid)


@pytest.mark.slow
def test_what_detached_itself_twice_is_ended_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    detaches = (
        "import os, subprocess, sys\n"
        "for code in ('61; import time; time.sleep(61)', '62; import signal, time; "
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(62)'):\n"
        "    if not os.fork():\n"
        "        os.setsid()\n"
        "        if os.fork(): os._exit(0)\n"
        "        os.closerange(0, 3)\n"
        "        os.execv(sys.executable, [sys.executable, '-c', code])\n"
        "subprocess.Popen(['sleep', '63'])\n"
        "import time; time.sleep(0.5)"
    )
    outcome = execute(tmp_path, detaches)

    told = "\n".join(outcome.strays)
    assert statuses(outcome) == ["ok"]
    assert "-c 61;" in told
    assert "-c 62;" in told
    for stray in outcome.strays:
        assert is_gone(int(stray.split()[1]))
        assert f"left running by the notebook, ended now: {stray}" in caplog.text
    running = [process.info["cmdline"] for process in psutil.process_iter(["cmdline"])]
    assert ["sleep", "63"] not in running


def test_processes_from_before_and_of_other_parts_of_the_program_are_left_alone(
    tmp_path: Path,
) -> None:
    before = detached(SLEEPER)
    others = []
    timer = threading.Timer(
        0.3, lambda: others.append(subprocess.Popen([sys.executable, "-c", SLEEPER]))
    )
    timer.start()
    try:
        outcome = execute(tmp_path, "import time; time.sleep(0.5)")
        timer.join()

        assert outcome.strays == ()
        assert [child.poll() for child in (before, *others)] == [None, None]
    finally:
        for child in (before, *others):
            child.kill()
            child.wait()


def test_the_exit_code_of_another_child_is_not_taken(tmp_path: Path) -> None:
    family = Family()
    child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
    family.close()

    assert child.wait() == 7
    assert execute(tmp_path, "1").execution.exit_code == 0


@pytest.mark.slow
def test_one_that_ignores_the_request_is_killed() -> None:
    family = Family()
    child = detached(STUBBORN)

    family.close()

    assert is_gone(child.pid)
    assert [f"process {child.pid}" in stray for stray in family.strays] == [True]
    child.wait()


def test_orphans_are_ended_and_the_dead_among_them_reaped() -> None:
    family = Family()
    alive = orphan(SLEEPER)
    dead = orphan("import time; time.sleep(0.2)")
    time.sleep(0.5)
    assert dead.status() == psutil.STATUS_ZOMBIE

    family.close()

    assert is_gone(alive.pid)
    assert is_gone(dead.pid)
    assert len(family.strays) == 1
    assert f"process {alive.pid}" in family.strays[0]


def test_nothing_is_adopted_any_more_when_the_run_is_over() -> None:
    Family().close()
    starts = "import subprocess; print(subprocess.Popen(['sleep', '2'], stdout=2).pid)"
    done = subprocess.run([sys.executable, "-c", starts], check=True, stdout=subprocess.PIPE)

    assert psutil.Process(int(done.stdout)).ppid() != os.getpid()


def test_the_last_of_several_runs_ends_what_all_have_left() -> None:
    first, second = Family(), Family()
    child = detached(SLEEPER)
    third = Family()

    second.close()
    first.close()
    assert child.poll() is None
    third.close()

    assert is_gone(child.pid)
    assert first.strays == second.strays == []
    assert len(third.strays) == 1
    child.wait()


def test_the_memory_and_the_work_of_children_count() -> None:
    busy = "b = b'x' * 50_000_000; print(flush=True)\nwhile True: pass"
    child = detached(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])")
    try:
        before = process_tree.cpu_seconds(child.pid)
        time.sleep(0.5)
        assert process_tree.cpu_seconds(child.pid) > before
        assert process_tree.memory(child.pid) > 50_000_000
    finally:
        for process in psutil.Process(child.pid).children():
            process.kill()
        child.kill()
        child.wait()


def test_a_process_that_is_gone_uses_nothing() -> None:
    child = detached("print()")
    child.wait()

    assert (process_tree.memory(child.pid), process_tree.cpu_seconds(child.pid)) == (0, 0)


def test_what_stepkit_itself_runs_meanwhile_is_no_stray(tmp_path: Path) -> None:
    stop, up = threading.Event(), threading.Event()
    command = [sys.executable, "-uc", SLEEPER]

    def work() -> None:
        process.run(command, on_line=lambda _: up.set(), stop=stop, cwd=tmp_path)

    family = Family()
    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert up.wait(60)
        family.end()
        assert family.strays == []
        assert psutil.Process().children()
    finally:
        stop.set()
        thread.join()
        family.close()
