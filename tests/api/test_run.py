"""stepkit.run runs a step in a process of its own, and leaves the caller's process as it was."""

import asyncio
import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
import pytest
import waiting
from nbformat.v4 import new_code_cell, new_notebook

import stepkit
from stepkit.api import run
from stepkit.errors import STOPPING, Reason
from stepkit.steps.execute_notebook import Outputs
from stepkit.system.process import Completed


def write(path: Path, *cells: str) -> Path:
    notebook = new_notebook(cells=[new_code_cell(source) for source in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, path)
    return path


def state() -> dict[str, Any]:
    """What a command line changes in its own process."""
    root = logging.getLogger()
    return {
        "signals": [signal.getsignal(number) for number in (*STOPPING, signal.SIGALRM)],
        "environment": dict(os.environ),
        "log": (root.level, list(root.handlers), logging.getLogger("asyncio").level),
        "hooks": (sys.excepthook, threading.excepthook, sys.unraisablehook),
        "warnings": (warnings.showwarning, list(warnings.filters)),
        "directory": Path.cwd(),
        "standard streams": (sys.stdin, sys.stdout, sys.stderr, sys.stdout.errors),
    }


def test_a_step_runs_in_any_thread_and_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    before = state()

    async def in_a_loop() -> stepkit.StepResult:
        return stepkit.run("write-smoke-notebook", directory=tmp_path / "a")

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(stepkit.write_smoke_notebook, directory=str(tmp_path / "b"))
        results = [asyncio.run(in_a_loop()), future.result()]

    assert [result.status for result in results] == ["succeeded"] * 2
    assert results[0].outputs == {
        "notebook": tmp_path / "a/smoke.ipynb",
        "tests": tmp_path / "a/tests",
    }
    assert results[1].message == f"wrote {tmp_path}/b/smoke.ipynb and its tests"
    assert (tmp_path / "b/smoke.ipynb").is_file()
    assert state() == before


def test_a_failure_is_the_error_of_its_class_with_the_result(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEPKIT_OPT_ATTEMPTS", "many")
    report = tmp_path / "report.json"
    with pytest.raises(stepkit.ConfigurationError) as caught:
        stepkit.run(
            "execute-notebook", notebook=tmp_path / "a.ipynb", output="b.ipynb", report=report
        )

    error = caught.value
    assert str(error) == f"there is no notebook {tmp_path}/a.ipynb"
    assert (error.reason, error.exit_code) == (Reason.NOT_FOUND, 2)
    assert error.result
    assert (error.result.status, error.result.outputs) == ("failed", {})
    assert json.loads(report.read_text())["message"] == str(error)
    assert list(tmp_path.iterdir()) == [report]
    assert caplog.messages == [f"stepkit execute-notebook: error: {error} [not-found]"]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("execute-notebok", "there is no step execute-notebok: did you mean execute-notebook?"),
        ("show", "there is no step show"),
    ],
)
def test_what_is_not_a_step_is_refused(step: str, message: str) -> None:
    with pytest.raises(stepkit.ConfigurationError) as caught:
        stepkit.run(step)

    assert str(caught.value).startswith(message)


def test_a_value_that_the_command_refuses_is_named(tmp_path: Path) -> None:
    with pytest.raises(stepkit.ConfigurationError) as caught:
        stepkit.run("write-smoke-notebook", directory=tmp_path / "a\0b")

    assert str(caught.value) == f"cannot run {sys.executable}: argument 5 holds a NUL byte"
    with pytest.raises(stepkit.ConfigurationError, match="'nine' is not a whole number"):
        stepkit.git_clone(url="a", destination=tmp_path / "b", attempts="nine")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_no_process_wrote_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "report.json"
    report.write_text('{"status": "succeeded"}')
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(stepkit.ToolError) as caught:
        stepkit.run("write-smoke-notebook", directory=tmp_path, report=report)

    assert str(caught.value) == "it ended with 1 and left no report"
    assert caught.value.result is None
    assert report.read_text() == '{"status": "succeeded"}'


def test_a_python_without_stepkit_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho $0: No module named stepkit >&2; exit 1")
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))

    with pytest.raises(stepkit.ToolError) as caught:
        stepkit.run("write-smoke-notebook", directory=tmp_path / "smoke")

    message = f"it ended with 1 and left no report: {python}: No module named stepkit"
    assert str(caught.value) == message


def test_a_machine_without_a_temporary_directory_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))

    with pytest.raises(stepkit.ConfigurationError) as caught:
        stepkit.run("write-smoke-notebook", directory=tmp_path / "smoke")

    assert str(caught.value) == "cannot make a directory for the report: No such file or directory"
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_is_stopped_at_once_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nsleep 600")  # a Python that is not up yet
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    stop = threading.Event()
    stop.set()

    with pytest.raises(stepkit.ToolError) as caught:
        stepkit.run("write-smoke-notebook", directory=tmp_path / "smoke", stop=stop)

    assert caught.value.reason == Reason.CANCELLED
    assert str(caught.value) == "its process was killed by SIGTERM before it could report"
    assert list(tmp_path.iterdir()) == [python]


def test_a_bug_is_no_error_of_a_step() -> None:
    result = stepkit.StepResult(
        step="notify", status="failed", reason=Reason.BUG, exit_code=1, started="", seconds=0,
        message="a bug in stepkit: KeyError: 1",
    )  # fmt: skip

    error = run._error(result, None)

    assert (type(error), str(error)) == (RuntimeError, "a bug in stepkit: KeyError: 1")


@pytest.mark.parametrize(
    ("code", "oom_killed", "reason", "message"),
    [
        (4, False, Reason.TOOL_FAILED, "its report says succeeded, exit code 0, but its process e"),
        (-9, False, Reason.KILLED, "its process was killed by SIGKILL"),
        (-9, True, Reason.OUT_OF_MEMORY, "its process was killed for memory"),
        (-15, True, Reason.KILLED, "its process was killed by SIGTERM"),
    ],
)
def test_a_result_that_its_process_contradicts_is_a_failure(
    *,
    code: int,
    oom_killed: bool,
    reason: Reason,
    message: str,
) -> None:
    said = stepkit.StepResult(step="notify", status="succeeded", started="", seconds=0)
    done = Completed(code=code, output="")

    result = run._judge(said, done, oom_killed=oom_killed)

    assert (result.status, result.reason) == ("failed", reason)
    assert result.message.startswith(message)
    assert isinstance(run._error(result, None), stepkit.ToolError)


@pytest.mark.slow
def test_a_notebook_that_fails_raises_what_its_cell_did(tmp_path: Path) -> None:
    notebook = write(tmp_path / "a.ipynb", "n = 1", "print('so far')", "{}['x']", "n")
    output = tmp_path / "out/a.ipynb"

    with pytest.raises(stepkit.UserCodeError, match="KeyError: 'x'") as caught:
        stepkit.execute_notebook(notebook=notebook, output=output, gpu="none")

    error = caught.value
    assert error.reason == Reason.CELL_ERROR
    assert error.evidence
    assert (error.evidence.ename, error.evidence.source) == ("KeyError", "{}['x']")
    assert error.place
    assert error.place.title == "cell 3 of 4"
    assert isinstance(error.outputs, Outputs)
    assert (error.outputs.cells_run, error.outputs.cells_total) == (2, 4)
    assert error.result
    assert error.result.outputs["notebook"] == output
    assert "so far" in output.read_text()


@pytest.mark.slow
def test_a_notebook_can_run_a_step_in_its_own_kernel(tmp_path: Path) -> None:
    place = str(tmp_path / "smoke")
    notebook = write(
        tmp_path / "a.ipynb",
        "import asyncio; asyncio.get_running_loop()",
        f"import stepkit; stepkit.write_smoke_notebook(directory={place!r}).status",
    )

    stepkit.execute_notebook(notebook=notebook, output=tmp_path / "out.ipynb")

    cells = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells
    assert cells[1].outputs[0].data == {"text/plain": "'succeeded'"}


@pytest.mark.slow
def test_a_step_that_is_killed_is_not_mistaken_for_one_that_ended(tmp_path: Path) -> None:
    notebook = write(
        tmp_path / "a.ipynb",
        "import os, psutil, signal\n"
        "steps = [p for p in psutil.Process().parents() if 'execute-notebook' in p.cmdline()]\n"
        "os.kill(steps[0].pid, signal.SIGKILL)",
    )

    with pytest.raises(stepkit.ToolError) as caught:
        stepkit.execute_notebook(notebook=notebook, output=tmp_path / "out.ipynb")

    assert (caught.value.reason, str(caught.value)) == (
        Reason.KILLED,
        "its process was killed by SIGKILL",
    )


@pytest.mark.slow
def test_another_thread_can_stop_a_notebook_and_its_cells_are_saved(tmp_path: Path) -> None:
    notebook = write(
        tmp_path / "a.ipynb",
        "print('so far')",
        f"open({str(tmp_path / 'begun')!r}, 'w').close()\nimport time; time.sleep(600)",
    )
    stop = threading.Event()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(
            stepkit.execute_notebook, notebook=notebook, output=tmp_path / "out.ipynb", stop=stop
        )
        waiting.until((tmp_path / "begun").exists)
        stop.set()
        error = future.exception()

    assert isinstance(error, stepkit.ToolError)
    assert pickle.loads(pickle.dumps(error)).result == error.result
    assert (error.reason, error.exit_code) == (Reason.CANCELLED, 4)
    assert error.result
    assert (error.result.status, error.result.outputs["cells-run"]) == ("cancelled", 1)
    assert "so far" in (tmp_path / "out.ipynb").read_text()


@pytest.mark.slow
def test_ctrl_c_is_the_programs_own_cells_are_saved_and_nothing_is_printed(tmp_path: Path) -> None:
    notebook = write(
        tmp_path / "a.ipynb",
        "print('so far')",
        f"open({str(tmp_path / 'begun')!r}, 'w').close()\nimport time; time.sleep(600)",
    )
    program = f"""
import stepkit
try:
    stepkit.execute_notebook(notebook={str(notebook)!r}, output={str(tmp_path / "out.ipynb")!r})
except KeyboardInterrupt as error:
    print(type(error), repr(error))
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        waiting.until((tmp_path / "begun").exists)
        child.send_signal(signal.SIGINT)
        printed, _ = child.communicate()

    assert printed.decode() == "<class 'KeyboardInterrupt'> KeyboardInterrupt()\n"
    assert "so far" in (tmp_path / "out.ipynb").read_text()


@pytest.mark.slow
def test_a_secret_of_the_environment_is_used_only_if_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_WEBHOOK", "http://127.0.0.1:9/hook")
    reports = tmp_path / "reports"
    stepkit.write_smoke_notebook(directory=tmp_path / "smoke", report=reports / "a.json")

    unasked = stepkit.send_notification(reports=reports)
    for how in ({"secrets_from_environment": True}, {"webhook": "http://127.0.0.1:9/me"}):
        with pytest.raises(stepkit.ToolError, match="not notified: line 1 of NOTIFY_WEBHOOK: no "):
            stepkit.run("notify", reports=reports, attempts=1, **how)

    assert unasked.message == "passed: no channel to notify"
    assert os.environ["NOTIFY_WEBHOOK"] == "http://127.0.0.1:9/hook"
