"""Cells that do nothing are ended, and all others are not: each test runs a kernel."""

from __future__ import annotations

import logging
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from runs import execute, statuses, text_of

from stepkit.errors import Reason, ToolError
from stepkit.notebook import verdict as notebook_verdict
from stepkit.notebook.verdict import Ending
from stepkit.system import gpu_devices, nvml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stepkit.engine.run_cells import Outcome

SLEEPS = "import time\ndef stuck():\n    while True: time.sleep(1)\n"
LOCKED = (
    "import threading\nlock = threading.Lock()\ndef stuck(): [lock.acquire() for _ in (1, 2)]\n"
)
# Python is not left while this waits for what it holds itself: no signal handler runs, no thread.
# It leaves Python to the thread that sends what was printed, and then never again.
HOLDS_PYTHON = (
    "import ctypes, time; libc = ctypes.PyDLL(None); mutex = ctypes.create_string_buffer(64)\n"
    "def stuck(): time.sleep(0.5); [libc.pthread_mutex_lock(mutex) for _ in (1, 2)]\n"
)


def check_hung(outcome: Outcome, log: str) -> None:
    assert outcome.execution.ending == Ending.HUNG
    assert statuses(outcome) == ["stopped", "not-run"]
    cells = [cell for cell in outcome.notebook.cells if cell.cell_type == "code"]
    assert text_of(cells[0]) == "begun\n"
    with pytest.raises(ToolError) as caught:
        notebook_verdict.judge(outcome.execution)
    assert caught.value.reason == Reason.KERNEL_HUNG
    assert "no output and no work of CPU or GPU for 1 s (--hang-timeout)" in str(caught.value)
    shown = caught.value.evidence
    assert shown is not None
    assert 'File "cell 1", line ' in shown.stack
    assert " in stuck\n" in shown.stack
    assert "Thread 0x" not in log  # it is not shown twice


@pytest.mark.parametrize(
    "code",
    [
        SLEEPS,
        pytest.param(LOCKED, marks=pytest.mark.slow),
        pytest.param(HOLDS_PYTHON, marks=pytest.mark.slow),
    ],
    ids=["sleeps", "locked", "holds-python"],
)
def test_a_cell_that_waits_for_ever_is_ended_and_its_stack_is_evidence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    outcome = execute(tmp_path, code + "print('begun', flush=True)\nstuck()", "2", hang_timeout=1.0)

    check_hung(outcome, caplog.text)


@pytest.fixture
def slow_server() -> Iterator[int]:
    """Yield the port of a server that answers a byte 3 s later."""

    def serve(server: socket.socket) -> None:
        with server.accept()[0] as client, suppress(OSError):
            client.recv(1)
            time.sleep(3)
            client.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


ASKS = (
    "import socket\nserver = socket.create_connection(('127.0.0.1', {port}))\n"
    "def stuck(): return server.sendall(b'x') or server.recv(1)\n"
    "print('begun', flush=True)\nstuck()"
)


@pytest.mark.slow
def test_a_cell_that_waits_for_a_server_for_less_than_the_limit_goes_on(
    tmp_path: Path, slow_server: int
) -> None:
    outcome = execute(tmp_path, ASKS.format(port=slow_server), "2", hang_timeout=8.0)

    assert statuses(outcome) == ["ok", "ok"]


@pytest.mark.slow
def test_a_cell_that_waits_for_a_server_for_longer_is_ended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, slow_server: int
) -> None:
    outcome = execute(tmp_path, ASKS.format(port=slow_server), "2", hang_timeout=1.0)

    check_hung(outcome, caplog.text)


WORKER = (  # a new interpreter in its own session, as dask's nanny starts it
    "import subprocess, sys\n"
    "code = 'import time; end = time.time() + 4\\nwhile time.time() < end: sum(range(9999))'\n"
    "subprocess.run([sys.executable, '-c', code], start_new_session=True)"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "works",
    [
        WORKER,
        "import time; end = time.time() + 4\nwhile time.time() < end: pass",
        "import time\nfor n in range(40): print(n, flush=True); time.sleep(0.1)",
    ],
    ids=["worker", "cpu", "prints"],
)
def test_a_cell_whose_processes_work_or_print_goes_on(tmp_path: Path, works: str) -> None:
    assert statuses(execute(tmp_path, works, hang_timeout=1.0)) == ["ok"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("utilisation", "holds", "ending"),
    [
        (100, True, Ending.FINISHED),
        (None, True, Ending.FINISHED),  # a MIG instance does not say
        (0, True, Ending.HUNG),
        (100, False, Ending.HUNG),  # the GPU works for another process
        (None, False, Ending.HUNG),
    ],
)
def test_a_cell_that_waits_for_the_gpu_goes_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    utilisation: int | None,
    ending: Ending,
    *,
    holds: bool,
) -> None:
    device = tmp_path / "nvidia0"
    monkeypatch.setattr(gpu_devices, "_DEVICES", (str(device),))  # there may be no GPU here
    monkeypatch.setattr(nvml, "read_utilisation", lambda: utilisation)
    path = device if holds else tmp_path / "other"

    outcome = execute(
        tmp_path, f"import time; gpu = open({str(path)!r}, 'a'); time.sleep(4)", hang_timeout=1.0
    )

    assert outcome.execution.ending == ending


def beats(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for message in caplog.messages if " running " in message]


def test_a_long_cell_is_logged_while_it_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    execute(tmp_path, "1", "import time; time.sleep(2)", heartbeat=0.3)

    said = beats(caplog)
    assert all(line.startswith("cell 2/2 running ") and " GiB" in line for line in said)
    assert ", CPU 0%, " in said[-1]
    assert "; no output and no work for " in said[-1]


@pytest.mark.slow
def test_a_heartbeat_says_how_much_of_the_cpu_a_cell_uses(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    busy = "import time; end = time.time() + 3\nwhile time.time() < end: pass"
    execute(tmp_path, busy, heartbeat=1)

    said = beats(caplog)
    assert said
    assert not [line for line in said if ", CPU 0%, " in line or "no work" in line]


@pytest.mark.slow
def test_a_heartbeat_of_0_logs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    execute(tmp_path, "import time; time.sleep(0.5)", heartbeat=0)

    assert beats(caplog) == []
