"""How a run ends: by itself, by a limit, by a signal, by its kernel's death."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from kernels import Install
from runs import OUTPUT, execute, statuses, text_of
from samples import write_notebook
from waiting import until

from stepkit.errors import STOPPING, ConfigurationError, Reason, StepError, ToolError
from stepkit.notebook import verdict as notebook_verdict
from stepkit.notebook.verdict import Ending

SOON = 20  # seconds: a cancelled run may take 10, on a machine that is not busy

# Python is not left while this waits for what it holds itself: no signal handler runs, no thread.
HANG = (
    "import ctypes; libc = ctypes.PyDLL(None); mutex = ctypes.create_string_buffer(64)\n"
    "def stuck(): [libc.pthread_mutex_lock(mutex) for _ in range(2)]\n"
    "import time; print('held', flush=True); time.sleep(1); stuck()"
)
IGNORES = (
    "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    "print('begun', flush=True)\nwhile True: time.sleep(1)"
)


def reason(outcome: Any) -> str:
    with pytest.raises(StepError) as caught:
        notebook_verdict.judge(outcome.execution)
    return caught.value.reason


def code_cells(outcome: Any) -> list[Any]:
    return [cell for cell in outcome.notebook.cells if cell.cell_type == "code"]


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["execution_timeout", "run_timeout"])
def test_a_limit_stops_the_cell_and_keeps_what_it_printed(tmp_path: Path, limit: str) -> None:
    code = "print('begun')\nimport time; time.sleep(60)"
    for seconds in (1.5, 6, 24):  # on a busy machine the cell may not sleep yet when it is stopped
        given: dict[str, Any] = {limit: seconds}
        outcome = execute(tmp_path, code, "2", **given)
        if code_cells(outcome)[0].outputs[-1:] and "ename" in code_cells(outcome)[0].outputs[-1]:
            break

    assert statuses(outcome) == ["stopped", "not-run"]
    assert text_of(code_cells(outcome)[0]) == "begun\n"
    assert code_cells(outcome)[0].outputs[-1].ename == "KeyboardInterrupt"
    assert reason(outcome) == Reason.TIMEOUT


def test_a_cell_that_swallows_the_interrupt_is_stopped(tmp_path: Path) -> None:
    swallows = (
        "import time\ntry: time.sleep(60)\nexcept KeyboardInterrupt: print('went on')\n'value'"
    )
    outcome = execute(tmp_path, swallows, "2", execution_timeout=1)

    assert statuses(outcome) == ["stopped", "not-run"]
    assert text_of(code_cells(outcome)[0]) == "went on\n"
    assert outcome.execution.ending == Ending.CELL_TIMEOUT


@pytest.mark.slow
def test_a_limit_for_each_cell_is_not_a_limit_for_all(tmp_path: Path) -> None:
    outcome = execute(
        tmp_path, *["import time; time.sleep(0.6)"] * 3, execution_timeout=1.5, run_timeout=60
    )

    assert statuses(outcome) == ["ok"] * 3


@pytest.mark.slow
def test_a_cell_that_ignores_the_interrupt_is_given_up(tmp_path: Path) -> None:
    outcome = execute(tmp_path, IGNORES, "2", execution_timeout=1)

    assert statuses(outcome) == ["stopped", "not-run"]
    assert text_of(code_cells(outcome)[0]) == "begun\n"
    assert outcome.execution.ending == Ending.CELL_TIMEOUT
    assert outcome.strays == ()


SHUTDOWN = "import IPython\nIPython.Application.instance().kernel.do_shutdown(True)"


def test_a_notebook_that_ends_its_kernel_in_its_last_cell_passes(tmp_path: Path) -> None:
    outcome = execute(tmp_path, "print('x' * 1000)", SHUTDOWN, "")

    assert statuses(outcome) == ["ok", "ok"]
    notebook_verdict.judge(outcome.execution)


@pytest.mark.slow
def test_a_notebook_passes_with_outputs_that_take_long_to_save(tmp_path: Path) -> None:
    big = "print('x' * 30_000_000)"
    for number in range(3):
        outcome = execute(tmp_path / f"{number}", big, f"{big}\n{SHUTDOWN}")
        assert statuses(outcome) == ["ok", "ok"]
        assert len(text_of(outcome.notebook.cells[1])) > 30_000_000


@pytest.mark.slow
def test_a_notebook_that_ends_its_kernel_half_way_fails(tmp_path: Path) -> None:
    outcome = execute(tmp_path, SHUTDOWN, "import time; time.sleep(3)", "3")

    assert statuses(outcome)[-1] != "ok"
    assert reason(outcome) == Reason.KERNEL_DIED


@pytest.mark.slow
def test_a_kernel_may_take_its_time_to_clean_up(tmp_path: Path) -> None:
    cleans = (
        "import atexit, pathlib, time\n"
        "def bye(): time.sleep(3); pathlib.Path('cleaned').touch()\n"
        "atexit.register(bye)"
    )
    execute(tmp_path, cleans)

    assert (tmp_path / "cleaned").exists()


def test_markdown_and_skipped_cells_are_not_sent_to_the_kernel(tmp_path: Path) -> None:
    outcome = execute(tmp_path, "1/0", "# only\n# a comment", "", tags={0: ["skip-execution"]})

    assert statuses(outcome) == ["ok"]
    assert [cell.metadata.papermill.status for cell in outcome.notebook.cells] == ["completed"] * 3


# Kernels that are unusual, or broken.


def start_of(seconds: float, code: str) -> list[str]:
    return [sys.executable, "-c", f"import os, sys, time; {code}; time.sleep({seconds})"]


def test_a_kernel_that_never_answers_is_reported_with_its_last_line(
    tmp_path: Path, install_kernel: Install
) -> None:
    install_kernel("mute", *start_of(60, "print('one\\nno licence', flush=True)"))

    with pytest.raises(ToolError) as caught:
        execute(tmp_path, "1", kernel="mute", start_timeout=1.0)

    said = "kernel 'mute' did not start: no answer within 1 s: no licence"
    assert (str(caught.value), caught.value.reason) == (said, Reason.TIMEOUT)
    assert not (tmp_path / OUTPUT).exists()


@pytest.mark.parametrize(
    ("death", "said"),
    [
        ("print('no driver', flush=True); os._exit(3)", "it exited with code 3: no driver"),
        ("os.kill(os.getpid(), 9)", "it exited with code -9"),
        (
            "import faulthandler; faulthandler.enable(); os.kill(os.getpid(), 11)",
            "it exited with code -11: Fatal Python error: Segmentation fault",
        ),
    ],
)
def test_a_kernel_that_dies_at_its_start_is_detected_at_once(
    tmp_path: Path, install_kernel: Install, death: str, said: str
) -> None:
    install_kernel("dead", *start_of(60, death))
    began = time.monotonic()

    with pytest.raises(ToolError) as caught:
        execute(tmp_path, "1", kernel="dead")

    assert str(caught.value) == f"kernel 'dead' did not start: {said}"
    assert caught.value.reason == Reason.KERNEL_DIED
    assert time.monotonic() - began < SOON


def test_a_kernel_that_cannot_be_executed_is_named(tmp_path: Path, install_kernel: Install) -> None:
    install_kernel("gone", "/no/such/python", "-f", "{connection_file}")

    said = "'gone' cannot be started: /no/such/python: No such file"
    with pytest.raises(ConfigurationError, match=said):
        execute(tmp_path, "1", kernel="gone")


def test_a_kernel_is_not_started_where_too_few_files_can_be_open(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (60, before[1]))
    try:
        with pytest.raises(ConfigurationError, match=r"may open 60 files, .* \(ulimit -n\)"):
            execute(tmp_path, "1")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert not (tmp_path / OUTPUT).exists()


def test_a_full_temporary_directory_may_have_space_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/sk-x")

    monkeypatch.setattr("tempfile.mkdtemp", no_space)

    with pytest.raises(ToolError) as caught:
        execute(tmp_path, "1")

    assert caught.value.reason == Reason.DISK_FULL
    assert str(caught.value).startswith("kernel 'python3' cannot be started: /tmp/sk-x: No space")


@pytest.mark.parametrize(
    "argv",
    [
        ["sh", "-c", f"exec {sys.executable} -m ipykernel_launcher -f {{connection_file}}"],
        pytest.param(
            ["sh", "-c", f"{sys.executable} -m ipykernel_launcher -f {{connection_file}}; true"],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["env", "A=b", sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            [sys.executable, "-Pm", "ipykernel_launcher", "-f", "{connection_file}"],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            [sys.executable, "-m", "ipykernel", "-f", "{connection_file}"], marks=pytest.mark.slow
        ),
    ],
)
def test_a_kernel_that_is_started_in_another_way_works(
    tmp_path: Path, install_kernel: Install, argv: list[str]
) -> None:
    install_kernel("other", *argv)
    outcome = execute(tmp_path, "print('ran')", "print('and ran')", kernel="other")

    assert [text_of(cell) for cell in outcome.notebook.cells] == ["ran\n", "and ran\n"]
    assert outcome.execution.messages_lost == 0
    assert outcome.strays == ()


def test_the_kernel_works_where_the_temporary_directory_has_a_long_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path of a socket may have 107 characters."""
    deep = tmp_path / ("x" * 90) / ("y" * 60)
    deep.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(deep))

    assert statuses(execute(tmp_path, "print('ran')")) == ["ok"]


@pytest.mark.slow
def test_modules_are_found_as_in_jupyter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the notebook and in PYTHONPATH, and none of stepkit's own."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"))
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/fromlib.py").write_text("here = 'lib'")
    (tmp_path / "beside.py").write_text("here = 'beside'")
    lookup = "import sys; print([p for p in sys.path if 'stepkit' in p], '__file__' in globals())"
    imports = "import beside, fromlib; print(beside.here, fromlib.here)"
    nb = execute(tmp_path, imports, lookup).notebook

    assert [text_of(cell) for cell in nb.cells] == ["beside lib\n", "[] False\n"]

    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    nb = execute(tmp_path, "import fromlib; print(fromlib.here)", lookup).notebook
    assert [text_of(cell) for cell in nb.cells] == ["lib\n", "[] False\n"]


@pytest.mark.slow
def test_processes_that_the_notebook_spawns_find_their_modules(tmp_path: Path) -> None:
    """As dask's workers do; the launcher must not run again in them."""
    (tmp_path / "beside.py").write_text("import os\ndef work(n): return n + 1, os.getpid()\n")
    nb = execute(
        tmp_path,
        "import beside, multiprocessing, os\n"
        "with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "    [(n, pid)] = pool.map(beside.work, [1])\n"
        "print(n, pid != os.getpid())",
    ).notebook

    assert text_of(nb.cells[0]) == "2 True\n"


# Signals to the process that runs the notebook.


class Runner:
    """A separate stepkit process, which can be killed."""

    def __init__(self, directory: Path, *sources: str, kernel: str = "python3") -> None:
        self.directory = directory
        notebook = write_notebook(directory / "a.ipynb", *sources)
        command = [sys.executable, "-P", "-m", "stepkit", "execute-notebook"]
        flags = [f"--notebook={notebook}", f"--output={directory / OUTPUT}", f"--kernel={kernel}"]
        with (directory / "log").open("w") as log:
            self.child = psutil.Popen(
                [*command, *flags, "--log-output", "--keep-shutdown-cells=true"], stderr=log
            )
        self.family: set[psutil.Process] = set()

    def wait_for(self, true: Callable[[], object]) -> None:
        until(lambda: true() or self.child.poll() is not None)
        assert true(), (self.directory / "log").read_text()
        self.family.update(self.child.children(recursive=True))

    def printed(self, line: str) -> Callable[[], bool]:
        return lambda: f"| {line}" in (self.directory / "log").read_text()

    def made(self, name: str) -> Callable[[], bool]:
        return (self.directory / name).exists

    def ends_with(self, code: int) -> float:
        began = time.monotonic()
        assert self.child.wait(SOON) == code, (self.directory / "log").read_text()
        for process in self.family:
            assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
        return time.monotonic() - began

    def notebook(self) -> Any:
        nb = nbformat.read(self.directory / OUTPUT, as_version=4)
        nbformat.validate(nb)
        return nb

    def statuses(self) -> list[str]:
        cells = [cell for cell in self.notebook().cells if cell.cell_type == "code"]
        return [cell.metadata.papermill.status for cell in cells]


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Callable[..., Runner]]:
    runners = []

    def start(*sources: str, **more: str) -> Runner:
        runners.append(Runner(tmp_path, *sources, **more))
        return runners[-1]

    yield start
    for each in runners:
        for process in [each.child, *each.family]:
            if process.is_running():
                process.kill()
        each.child.wait()


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_kernel_starts_ends_it(
    install_kernel: Install, runner: Callable[..., Runner], signum: signal.Signals
) -> None:
    install_kernel("slow", *start_of(60, "open('booting', 'w')"))
    run = runner("1", kernel="slow")
    run.wait_for(run.made("booting"))
    time.sleep(1)  # long enough to be asked for an answer

    run.child.send_signal(signum)

    run.ends_with(128 + signum)


@pytest.mark.slow
def test_sigterm_in_a_cell_saves_all_that_it_printed(runner: Callable[..., Runner]) -> None:
    run = runner("print('one')", "import time; print('two', flush=True); time.sleep(60)", "3")
    run.wait_for(run.printed("two"))

    run.child.terminate()

    run.ends_with(143)
    assert run.statuses() == ["completed", "failed", "pending"]
    assert "Execution was cancelled at" in run.notebook().cells[0].source
    assert "two" in str(run.notebook().cells)


@pytest.mark.slow
def test_sigterm_between_two_cells_ends_the_run(runner: Callable[..., Runner]) -> None:
    run = runner(
        "1", "print('go', flush=True)", *["import time; time.sleep(0.01)"] * 500, "print('end')"
    )
    run.wait_for(run.printed("go"))

    run.child.terminate()

    run.ends_with(143)
    assert run.statuses()[-1] == "pending"
    assert run.statuses()[0] == "completed"


@pytest.mark.slow
def test_sigterm_while_the_kernel_cleans_up_does_not_wait_for_it(
    runner: Callable[..., Runner],
) -> None:
    cleans = (
        "import atexit, pathlib, time\n"
        "atexit.register(lambda: (pathlib.Path('cleaning').touch(), time.sleep(25)))"
    )
    run = runner(cleans)
    run.wait_for(run.made("cleaning"))

    run.child.terminate()

    assert run.ends_with(143) < 15
    assert run.statuses() == ["completed"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "word"), [(IGNORES, "begun"), (HANG, "held")], ids=["ignores", "hangs"]
)
def test_sigterm_ends_a_cell_that_ignores_the_interrupt_or_hangs(
    runner: Callable[..., Runner], source: str, word: str
) -> None:
    run = runner(source)
    run.wait_for(run.printed(word))

    run.child.terminate()

    run.ends_with(143)
    assert run.statuses() == ["failed"]
    assert word in str(run.notebook().cells)


@pytest.mark.slow
def test_a_second_signal_waits_for_nothing(runner: Callable[..., Runner]) -> None:
    run = runner(IGNORES)
    run.wait_for(run.printed("begun"))

    run.child.send_signal(signal.SIGINT)
    time.sleep(0.3)
    run.child.send_signal(signal.SIGINT)

    run.ends_with(130)
    assert run.statuses() == ["failed"]
    assert "begun" in str(run.notebook().cells)


@pytest.mark.slow
def test_killing_the_runner_leaves_the_last_checkpoint_and_no_kernel(
    runner: Callable[..., Runner],
) -> None:
    run = runner("print('kept')", "import time; print('two', flush=True); time.sleep(60)")
    run.wait_for(run.printed("two"))

    run.child.kill()

    run.child.wait(SOON)
    run.notebook()
    psutil.wait_procs(run.family, timeout=SOON)
    assert not [process for process in run.family if process.is_running()]
    left = {path.name for path in (run.directory / "out").iterdir()}
    assert left == {"executed.ipynb", "executed.progress.json", "papermill.log"}


def test_signals_are_as_before_when_the_run_is_over(tmp_path: Path) -> None:
    before = [signal.getsignal(s) for s in STOPPING]
    execute(tmp_path, "1")

    assert [signal.getsignal(s) for s in STOPPING] == before


def test_a_signal_that_is_ignored_stays_so(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        interrupts = f"import os, signal; os.kill({os.getpid()}, signal.SIGINT); print('on')"
        outcome = execute(tmp_path, interrupts)
    finally:
        signal.signal(signal.SIGINT, before)

    assert statuses(outcome) == ["ok"]


@pytest.mark.slow
def test_a_terminal_that_closes_twice_still_gets_the_kernels_last_outputs(tmp_path: Path) -> None:
    stops = (
        "import os, signal, time\n"
        f"try: os.kill({os.getpid()}, signal.SIGHUP); time.sleep(60)\n"
        f"except KeyboardInterrupt: os.kill({os.getpid()}, signal.SIGHUP); time.sleep(1)\n"
        "finally: print('last words')"
    )
    outcome = execute(tmp_path, stops, "2")

    assert outcome.execution.cancelled_by == signal.SIGHUP
    assert statuses(outcome) == ["stopped", "not-run"]
    assert "last words" in str(outcome.notebook.cells[-2].outputs)


def test_an_interrupt_that_the_running_call_does_not_notice_still_ends_it(tmp_path: Path) -> None:
    # Another thread of the kernel takes the signal, so that it interrupts no system call.
    stops = (
        "import os, signal, time\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\n"
        "try:\n"
        f"    os.kill({os.getpid()}, signal.SIGTERM)\n"
        "    time.sleep(60)\n"
        "except KeyboardInterrupt: time.sleep(1); print('last words')"
    )
    outcome = execute(tmp_path, stops, "2")

    assert statuses(outcome) == ["stopped", "not-run"]
    assert "last words" in str(outcome.notebook.cells[-2].outputs)


def test_a_signal_in_this_process_cancels_its_run(tmp_path: Path) -> None:
    stops = f"import os, signal, time; os.kill({os.getpid()}, signal.SIGTERM); time.sleep(60)"
    outcome = execute(tmp_path, "1", stops, "3")

    assert outcome.execution.cancelled_by == signal.SIGTERM
    assert statuses(outcome) == ["ok", "stopped", "not-run"]


@pytest.mark.slow
def test_a_run_may_be_in_a_thread(tmp_path: Path) -> None:
    code = (
        "import sys, threading, pathlib\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from runs import execute\n"
        "ends = []\n"
        "run = lambda: ends.append(execute(pathlib.Path(sys.argv[2]), 'print(1)'))\n"
        "thread = threading.Thread(target=run); thread.start(); thread.join()\n"
        "assert ends[0].execution.ran == 1\n"
    )
    tests = str(Path(__file__).parents[1])
    subprocess.run([sys.executable, "-c", code, tests, str(tmp_path)], check=True)
