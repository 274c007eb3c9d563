"""Rows P: what happens to processes while a notebook runs."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import commands
import nbformat
import pytest
import waiting
from faults.harness import Ended, Fault, row
from faults.preloaded import preloaded
from samples import write_notebook
from step_runs import printed

READY = "import os, time; print('before', flush=True); open('ready', 'w').write(str(os.getpid()))"
SLEEP = f"{READY}; time.sleep(600)"
IGNORE = """
import ctypes, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
while True: ctypes.CDLL(None).sleep(9)
"""
LEFT_BEHIND = """
import subprocess, sys
code = {code!r}
command, pipe = [sys.executable, "-c", code], subprocess.PIPE
child = subprocess.Popen(command, start_new_session=True, stdout=pipe)
child.stdout.readline()
open("ready", "w").write(str(child.pid))
"""
IN_GROUP = 'echo $$ > "$1/cgroup.procs" && shift && exec "$@"'


def is_notebook(path: Path) -> bool:
    """Whether a notebook is valid, and the first cell's output was kept."""
    return printed(path).startswith("kept\n")


def execute(fault: Fault, *sources: str, flags: Sequence[str | Path] = (), **more: Any) -> Ended:
    """Run a notebook whose first cell prints, and judge the outcome."""
    return fault.run(*arguments(fault, *sources), *flags, **more)


def arguments(fault: Fault, *sources: str) -> tuple[str | Path, ...]:
    notebook = write_notebook(fault.directory / "a.ipynb", "print('kept')", *sources)
    place = fault.place("out.ipynb", is_notebook)
    return ("--notebook", notebook, "--output", place)


def running(fault: Fault) -> int:
    """Wait until the notebook wrote the id of a process, and return that."""
    ready = fault.directory / "ready"
    waiting.until(lambda: ready.exists() and ready.read_text())
    return int(ready.read_text())


def ended(pid: int) -> bool:
    """Whether a process is gone, or nothing but its exit code is left."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


@row("P1", "P19")
def test_signals_while_a_cell_runs(fault: Fault) -> None:
    def stop(process: subprocess.Popen[bytes]) -> None:
        running(fault)
        process.terminate()
        if fault.number == "P19":
            time.sleep(0.2)
            process.terminate()

    execute(fault, SLEEP, "print('after')", meanwhile=stop)

    assert printed(fault.directory / "out.ipynb") == "kept\nbefore\n"
    assert ended(running(fault))


@row("P2")
def test_the_step_is_killed(fault: Fault) -> None:
    def kill(process: subprocess.Popen[bytes]) -> None:
        running(fault)
        process.kill()

    execute(fault, SLEEP, meanwhile=kill)

    waiting.until(lambda: ended(running(fault)))
    assert not (fault.directory / "out.ipynb").exists() or nbformat.read(
        fault.directory / "out.ipynb", as_version=4
    )


@row("P3")
def test_the_kernel_is_killed(fault: Fault) -> None:
    def kill(_: subprocess.Popen[bytes]) -> None:
        os.kill(running(fault), signal.SIGKILL)

    execute(fault, SLEEP, meanwhile=kill)


@pytest.fixture
def small_memory() -> Iterator[Path]:
    """Yield a control group whose processes get 500 MB together."""
    group = Path(f"/sys/fs/cgroup/memory/stepkit-faults-{os.getpid()}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(500 << 20))
    except OSError as error:
        pytest.skip(f"P4: needs a control group for memory (version 1): {error}")
    yield group
    group.rmdir()


@row("P4")
def test_the_kernel_needs_too_much_memory(fault: Fault, small_memory: Path) -> None:
    grow = "kept = []\nwhile True: kept.append(b'x' * 10_000_000)"

    execute(fault, grow, before=("sh", "-c", IN_GROUP, "sh", small_memory))


@row("P5", "P25")
def test_a_report_of_a_killed_step(fault: Fault) -> None:
    fault.reports = fault.directory / "reports"
    fault.reports.mkdir()

    def kill(process: subprocess.Popen[bytes]) -> None:
        kernel = running(fault)
        process.kill()
        if fault.number == "P5":
            os.kill(kernel, signal.SIGKILL)

    fault.execute("execute-notebook", arguments(fault, SLEEP), meanwhile=kill)
    reports, fault.reports = fault.reports, fault.base
    summary = fault.place("summary.md", lambda path: "killed" in path.read_text())

    fault.run("--reports", reports, "--summary", summary)


@row("P6", "P7", "P8")
def test_a_cell_that_does_not_end(fault: Fault) -> None:
    flags = {
        "P6": ("--execution-timeout", "2s"),
        "P7": ("--run-timeout", "4s"),
        "P8": ("--hang-timeout", "2s"),
    }[fault.number]
    stuck = f"{READY}\n{IGNORE}" if fault.case == "ignores-interrupts" else SLEEP

    execute(fault, stuck, "print('after')", flags=flags)

    assert printed(fault.directory / "out.ipynb") == "kept\nbefore\n"
    assert ended(running(fault))


@row("P9", "P10")
def test_a_kernel_that_cannot_be_started(fault: Fault) -> None:
    programs = {"hangs": ["sleep", "600"], "ends": ["false"], "no-program": ["/missing/python"]}
    if fault.case in programs:
        place = fault.private / "kernels/odd"
        place.mkdir(parents=True)
        spec = {"argv": programs[fault.case], "display_name": "odd", "language": "python"}
        (place / "kernel.json").write_text(json.dumps(spec))
    given = arguments(fault)
    if fault.case == "not-named":
        write_notebook(fault.directory / "a.ipynb", "print('kept')", metadata={})
    else:
        given = (*given, "--kernel", "odd", "--start-timeout", "4s")

    fault.run(*given, env={"JUPYTER_PATH": str(fault.private)})


@row("P11")
def test_a_notebook_that_ends_its_kernel(fault: Fault) -> None:
    source = {"exits": "raise SystemExit(0)", "os-exits": "import os; os._exit(0)"}[fault.case]

    execute(fault, source, "print('after')")

    assert "after" not in printed(fault.directory / "out.ipynb")


@row("P12", "P13")
def test_a_process_that_a_notebook_leaves(fault: Fault) -> None:
    ignore = "signal.signal(15, signal.SIG_IGN); " if fault.number == "P13" else ""
    code = f"import signal, time; {ignore}print('ready', flush=True); time.sleep(600)"

    execute(fault, LEFT_BEHIND.format(code=code))

    assert ended(running(fault))


@row("P14", "P15")
def test_a_notebook_that_is_too_much(fault: Fault) -> None:
    source = {
        "P14": "import os\nfor _ in range(300):\n    if not os.fork(): os._exit(0)",
        "P15": "for _ in range(200): print(('x' * 99 + '\\n') * 10_000, end='')",
    }[fault.number]

    execute(fault, source)

    size = (fault.directory / "out.ipynb").stat().st_size
    assert (size > 200_000_000) == (fault.number == "P15")  # nothing is lost


@row("P16")
def test_a_disk_that_fills_up(fault: Fault, small_disk: Path) -> None:
    notebook = write_notebook(
        fault.directory / "a.ipynb", "print('kept')", "print('x' * 2_000_000)"
    )
    place = fault.place(small_disk / "out.ipynb", is_notebook)

    fault.run("--notebook", notebook, "--output", place)


@row("P17", "P24")
def test_a_machine_that_lacks_something(fault: Fault) -> None:
    fault.needs("root", "unshare")
    where = {"P17": "size=1m tmpfs /dev/shm", "P24": "size=1m tmpfs /sys/fs/cgroup"}[fault.number]
    script = f'mount --make-rprivate / && mount -t tmpfs -o {where} || exit 99; exec "$@"'
    inside = ("unshare", "-m", "sh", "-c", script, "sh")
    if commands.run(*inside, "true").returncode:
        pytest.skip(f"{fault.number}: needs mount namespaces")

    execute(fault, before=inside)


@row("P18")
def test_an_output_that_cannot_be_written(fault: Fault) -> None:
    notebook = write_notebook(fault.directory / "a.ipynb", "print('kept')")
    disk = fault.directory / "disk"
    disk.mkdir()
    with commands.mounted(disk, "-t", "tmpfs", "-o", "ro", "tmpfs"):
        place = fault.place(disk / "out.ipynb", is_notebook)
        fault.run("--notebook", notebook, "--output", place)


@row("P26", "P27")
def test_a_process_that_may_do_little(fault: Fault) -> None:
    limits = {"small": "ulimit -f 100", "": "umask 777"}
    script = f'{limits.get(fault.case, f"ulimit -n {fault.case}")} && exec "$@"'

    execute(fault, "print('x' * 200_000)", before=("sh", "-c", script, "sh"))

    assert fault.case == "24" or nbformat.read(fault.directory / "out.ipynb", as_version=4).cells


@row("P20")
def test_a_signal_before_the_step_has_begun(fault: Fault) -> None:
    def stop(process: subprocess.Popen[bytes]) -> None:
        status = Path(f"/proc/{process.pid}/status")
        caught = 1 << (signal.SIGTERM - 1)

        def noted() -> bool:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
            return bool(int(lines["SigCgt"], 16) & caught)

        waiting.until(noted)
        process.terminate()

    execute(fault, meanwhile=stop)


@row("P21")
def test_a_log_that_nothing_reads(fault: Fault) -> None:
    if fault.case == "closed":
        execute(fault, before=("sh", "-c", 'exec "$@" >&- 2>&-', "sh"))
        return
    read, write = os.pipe()
    os.close(read)
    with Path("/dev/full").open("wb") as full:
        target: int | IO[bytes] = full if fault.case == "full" else write
        execute(fault, stdout=target, stderr=target)
    os.close(write)


@row("P22")
def test_a_result_that_is_too_long(fault: Fault) -> None:
    result = fault.directory / "message"

    fault.run(
        *("--url", f"foo://{'x' * 6000}", "--destination", "source"),
        *("--result", f"message={result}", "--result", f"reason={fault.directory / 'reason'}"),
    )

    assert 0 < result.stat().st_size < 4096


@row("P23")
def test_a_clock_that_jumps(fault: Fault) -> None:
    env = preloaded(fault, CLOCK_JUMP={"ahead": "864000", "back": "-864000"}[fault.case])
    jump = f"open({env['CLOCK_FILE']!r}, 'w'); import time; time.sleep(0.2)"

    ended = execute(fault, jump, "print('after')", env=env)

    assert 0 < ended.report["seconds"] < 600
