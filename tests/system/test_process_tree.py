"""What a process tree uses, and what a notebook leaves running: it is ended and named."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from children import answer, child, read_line
from runs import execute, statuses
from waiting import until

from stepkit.system import parent_death, process
from stepkit.system.process_tree import Descendants, ProcessTree

SLEEPER = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"


def detached(code: str) -> subprocess.Popen[bytes]:
    """Start a process in a separate session, as a kernel does."""
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
def test_processes_that_detached_themselves_twice_are_ended_and_named(
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

    strays = "\n".join(outcome.strays)
    assert statuses(outcome) == ["ok"]
    assert "-c 61;" in strays
    assert "-c 62;" in strays
    for stray in outcome.strays:
        assert is_gone(int(stray.split()[1]))
        assert f"left running by the notebook, ended now: {stray}" in caplog.text
    running = [process.info["cmdline"] for process in psutil.process_iter(["cmdline"])]
    assert ["sleep", "63"] not in running


def test_earlier_processes_and_those_of_other_threads_are_left_alone(tmp_path: Path) -> None:
    before = detached(SLEEPER)
    others = []
    command = [sys.executable, "-c", SLEEPER]
    timer = threading.Timer(0.3, lambda: others.append(subprocess.Popen(command)))
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
    family = Descendants()
    child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
    family.close()

    assert child.wait() == 7
    assert execute(tmp_path, "1").execution.exit_code == 0


@pytest.mark.slow
def test_a_stray_that_ignores_sigterm_is_killed() -> None:
    family = Descendants()
    child = detached(STUBBORN)

    family.close()

    assert is_gone(child.pid)
    assert [f"process {child.pid}" in stray for stray in family.strays] == [True]
    child.wait()


def test_orphans_are_ended_and_zombies_are_reaped() -> None:
    family = Descendants()
    alive = orphan(SLEEPER)
    dead = orphan("import time; time.sleep(0.2)")
    time.sleep(0.5)
    assert dead.status() == psutil.STATUS_ZOMBIE

    family.close()

    assert is_gone(alive.pid)
    assert is_gone(dead.pid)
    assert len(family.strays) == 1
    assert f"process {alive.pid}" in family.strays[0]


def test_no_process_is_adopted_after_the_run() -> None:
    Descendants().close()
    starts = "import subprocess; print(subprocess.Popen(['sleep', '2'], stdout=2).pid)"
    done = subprocess.run([sys.executable, "-c", starts], check=True, stdout=subprocess.PIPE)

    assert psutil.Process(int(done.stdout)).ppid() != os.getpid()


def test_the_last_of_several_runs_ends_the_strays_of_all() -> None:
    first, second = Descendants(), Descendants()
    child = detached(SLEEPER)
    third = Descendants()

    second.close()
    first.close()
    assert child.poll() is None
    third.close()

    assert is_gone(child.pid)
    assert first.strays == second.strays == []
    assert len(third.strays) == 1
    child.wait()


MIB = 2**20


def test_the_memory_and_the_cpu_time_of_children_count() -> None:
    busy = "b = b'x' * 50_000_000; print(flush=True)\nwhile True: pass"
    starts = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    with child(f"print('ready', flush=True); {starts}") as process:
        read_line(process)
        tree = ProcessTree(process.pid)
        before = cpu(tree)
        time.sleep(0.5)
        usage = tree.usage()
        tree.close()

    assert usage.cpu_seconds is not None
    assert usage.cpu_seconds > before
    assert usage.rss > 50_000_000


def test_a_process_that_ended_uses_nothing() -> None:
    with child("print('ready')") as process:
        pass

    usage = ProcessTree(process.pid).usage()
    assert (usage.rss, usage.cpu_seconds) == (0, 0)


def test_a_process_that_stepkit_itself_runs_is_not_a_stray(tmp_path: Path) -> None:
    stop, up = threading.Event(), threading.Event()
    command = [sys.executable, "-uc", SLEEPER]

    def work() -> None:
        process.run(command, on_line=lambda _: up.set(), stop=stop, cwd=tmp_path)

    family = Descendants()
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


def test_descendants_whose_parent_ended_count_too() -> None:
    holds = "x = bytearray(100 * 2**20); print('ready', flush=True); import time; time.sleep(60)"
    # The inner process prints "ready" itself.
    starts = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {holds!r}]); input()"
    with child(starts) as process:
        tree = ProcessTree(process.pid)
        first = tree.usage()  # a process between fork and exec has its parent's memory
        usage = tree.usage()
        assert process.stdin is not None
        process.stdin.close()
        until(lambda: ended(process.pid))
        left = tree.usage()
        tree.close()

    assert usage.processes == 2
    assert usage.rss - first.rss > 100 * MIB
    assert left.rss > 100 * MIB
    assert tree.pids == frozenset()


def ended(pid: int) -> bool:
    """Return whether a child of ours is a zombie."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def cpu(tree: ProcessTree) -> float:
    seconds = tree.usage().cpu_seconds
    assert seconds is not None
    return seconds


def test_cpu_time_of_children_stays_when_they_end() -> None:
    burns = "import time\nwhile time.process_time() < 0.4: pass"
    code = (
        "import subprocess, sys\nprint('ready', flush=True)\ninput()\n"
        f"subprocess.run([sys.executable, '-c', {burns!r}])\nprint('done', flush=True)\ninput()"
    )
    with child(code) as process:
        tree = ProcessTree(process.pid)
        before = cpu(tree)
        assert answer(process) == "done"
        after = cpu(tree)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        gone = tree.usage()

    assert after - before >= 0.35
    assert gone.cpu_seconds is not None
    assert gone.cpu_seconds >= after
    assert (gone.rss, gone.processes) == (0, 0)


ORPHANS = """
import os, time
def burn():
    end = time.process_time() + 0.3
    while time.process_time() < end: pass
print("ready", flush=True)
wait, release = os.pipe()
if not os.fork():
    if not os.fork():
        os.close(release); burn(); print(os.getpid(), flush=True); os.read(wait, 1); os._exit(0)
    os._exit(0)
os.wait()
input(); os.close(release); print("released", flush=True)
input(); burn(); print("done", flush=True); input()
"""


@pytest.fixture
def _adopting() -> Iterator[None]:
    """Let this process be the parent of orphans, as stepkit is."""
    parent_death.adopt_orphans(yes=True)
    yield
    parent_death.adopt_orphans(yes=False)


@pytest.mark.usefixtures("_adopting")
def test_cpu_time_of_an_orphan_stays_when_another_process_waited_for_it() -> None:
    with child(ORPHANS) as process:
        orphan = int(read_line(process))
        tree = ProcessTree(process.pid)
        both, before = tree.usage().processes, cpu(tree)
        answer(process)
        os.waitpid(orphan, 0)
        alone = tree.usage().processes
        answer(process)
        after = cpu(tree)
        tree.close()

    assert (both, alone) == (2, 1)
    assert after - before >= 0.25
