"""Notebooks that fail by bad luck and pass when they run again, with real kernels."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cuda_driver import fake_cuda
from samples import write_notebook
from step_runs import failed, refused, run

from stepkit.errors import Reason, ToolError, UserCodeError
from stepkit.notebook import retry_options
from stepkit.steps.execute_notebook import Outputs

DIES_ONCE = """\
import os, pathlib
memory = pathlib.Path('memory')
if not memory.exists():
    memory.touch()
    print('about to die', flush=True)
    os.kill(os.getpid(), 9)
"""
IS_FULL_ONCE = """\
import pathlib
if not pathlib.Path('full').exists():
    pathlib.Path('full').touch()
    class OutOfMemoryError(MemoryError): pass
    raise OutOfMemoryError('Out of memory allocating 1,000 bytes (allocated so far: 0 bytes).')
"""


@pytest.mark.slow
def test_a_notebook_whose_kernel_died_once_is_flaky_and_leaves_both_attempts(
    tmp_path: Path,
) -> None:
    source = write_notebook(tmp_path / "a.ipynb", "1", DIES_ONCE, "print('done')")
    metrics = tmp_path / "out/metrics.prom"

    outputs = run(source, attempts=2, metrics=metrics, page=tmp_path / "out/page.html")

    assert outputs.status == "flaky"
    assert outputs.message == ("3 of 3 cells ran, on attempt 2 of 2, after kernel-died")
    first, second = outputs.attempts
    assert (first.reason, first.cell, first.exit_code) == (Reason.KERNEL_DIED, 1, 3)
    assert first.error is not None
    assert first.error.output == ("about to die",)
    assert (second.status, second.reason) == ("succeeded", Reason.OK)
    kept = tmp_path / "out/executed.attempt-1.ipynb"
    assert first.notebook == kept
    assert "about to die" in kept.read_text()
    assert "done" in outputs.notebook.read_text()
    assert (tmp_path / "out/page.attempt-1.html").exists()
    (length,) = re.findall(
        r"^stepkit_notebook_duration_seconds.* (\S+)$", metrics.read_text(), re.MULTILINE
    )
    assert float(length) > first.seconds
    progress = json.loads((tmp_path / "out/executed.progress.json").read_text())
    assert (progress["attempt"], progress["ending"]["status"]) == (2, "flaky")
    assert (
        'stepkit_notebook_status{notebook="executed",source="a.ipynb",status="flaky"} 1'
        in metrics.read_text()
    )


@pytest.mark.slow
def test_a_flaky_notebook_fails_with_its_own_reason_where_that_is_asked(tmp_path: Path) -> None:
    source = write_notebook(tmp_path / "a.ipynb", DIES_ONCE)
    metrics = tmp_path / "out/metrics.prom"

    error = failed(source, attempts=3, fail_on_flaky=True, metrics=metrics)

    assert (type(error), error.reason) == (UserCodeError, Reason.FLAKY)
    assert str(error) == (
        "flaky: 1 of 1 cells ran, on attempt 2 of 3, after kernel-died (--fail-on-flaky)"
    )
    assert isinstance(error.outputs, Outputs)
    assert len(error.outputs.attempts) == 2
    assert error.outputs.notebook.exists()
    assert "stepkit_notebook_exit_code" in metrics.read_text()
    assert 'status="failed"} 1' in metrics.read_text()


@pytest.mark.slow
def test_a_kernel_that_hung_runs_again_and_limits_hold_for_each_attempt(tmp_path: Path) -> None:
    hangs_once = (
        "import pathlib, threading\n"
        "memory = pathlib.Path('memory')\n"
        "if not memory.exists():\n    memory.touch()\n    threading.Event().wait()\n"
    )
    source = write_notebook(tmp_path / "a.ipynb", hangs_once)

    outputs = run(source, attempts=2, hang_timeout=3.0, run_timeout=60.0)

    assert outputs.status == "flaky"
    assert [a.reason for a in outputs.attempts] == [Reason.KERNEL_HUNG, Reason.OK]


@pytest.mark.slow
def test_an_error_of_the_code_is_not_run_again(tmp_path: Path) -> None:
    source = write_notebook(
        tmp_path / "a.ipynb", "open('runs', 'a').write('x')", "raise KeyError('pca')"
    )

    error = failed(source, attempts=3)

    assert (error.reason, error.exit_code) == (Reason.CELL_ERROR, 3)
    assert (tmp_path / "runs").read_text() == "x"
    assert not list((tmp_path / "out").glob("*attempt*"))


def test_a_reason_that_would_be_the_same_again_is_refused_before_the_kernel_starts(
    tmp_path: Path,
) -> None:
    source = write_notebook(tmp_path / "a.ipynb", "1")

    message = refused(source, attempts=3, retry_on="kernel-hung,timeout")

    assert message.startswith("--retry-on timeout would be the same again")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_network_that_failed_once_makes_a_notebook_flaky(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(retry_options, "_WAITS", (0.01,))
    caplog.set_level("INFO")
    fails_once = (
        "import pathlib, urllib.error\nmemory = pathlib.Path('memory')\n"
        "if not memory.exists():\n    memory.touch()\n"
        "    raise urllib.error.URLError('no route to host')\n"
    )
    source = write_notebook(tmp_path / "a.ipynb", fails_once)

    outputs = run(source, attempts=2, retry_on="network")

    assert outputs.message == "1 of 1 cells ran, on attempt 2 of 2, after network"
    first = outputs.attempts[0]
    assert (first.reason, first.exit_code) == (Reason.NETWORK, 3)
    assert first.message.startswith("cell 1 of 1")
    assert "waiting 0 s before the next attempt (network)" in caplog.messages


@pytest.mark.slow
def test_a_signal_during_the_wait_ends_the_step_with_what_was_done(tmp_path: Path) -> None:
    source = write_notebook(tmp_path / "a.ipynb", "raise ConnectionError('no route')")
    command = [sys.executable, "-P", "-m", "stepkit", "execute-notebook", f"--notebook={source}"]
    flags = [f"--output={tmp_path}/out/a.ipynb", "--attempts=5", f"--report={tmp_path}/a.json"]
    flags += [f"--metrics={tmp_path}/out/a.prom"]
    with subprocess.Popen([*command, *flags], stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr
        next(line for line in child.stderr if "waiting 10 s" in line)
        child.send_signal(signal.SIGTERM)
        child.stderr.read()

    assert child.returncode == 143
    report = json.loads((tmp_path / "a.json").read_text())
    assert (report["status"], report["message"]) == ("cancelled", "stopped by SIGTERM")
    (attempt,) = report["outputs"]["attempts"]
    assert (attempt["reason"], attempt["notebook"]) == (
        "network",
        f"{tmp_path}/out/a.attempt-1.ipynb",
    )
    assert (tmp_path / "out/a.attempt-1.ipynb").exists()
    assert not (tmp_path / "out/a.ipynb").exists()
    progress = json.loads((tmp_path / "out/a.progress.json").read_text())
    assert progress["ending"]["status"] == "cancelled"
    metrics = (tmp_path / "out/a.prom").read_text()
    assert re.search(r'^stepkit_notebook_status\{.*status="cancelled"\} 1$', metrics, re.MULTILINE)


@pytest.mark.slow
def test_a_gpu_that_stays_busy_leaves_the_notebook_of_an_earlier_run_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in fake_cuda(tmp_path, FAKE_CUDA_INIT="46").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(retry_options, "_WAITS", (0.01,))
    source = write_notebook(tmp_path / "a.ipynb", "open('ran', 'w').close()")
    before = tmp_path / "out/executed.ipynb"
    before.parent.mkdir()
    before.write_text("yesterday's")

    with pytest.raises(ToolError) as caught:
        run(source, gpu="required", attempts=2, retry_on="gpu-busy")

    assert caught.value.reason == Reason.GPU_BUSY
    assert str(caught.value).startswith("attempt 2 of 2: the GPU is taken by another process")
    assert before.read_text() == "yesterday's"
    assert not list(before.parent.glob("*attempt*"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_an_attempt_of_the_last_variant_that_had_bad_luck_is_kept_under_its_own_name(
    tmp_path: Path,
) -> None:
    source = write_notebook(tmp_path / "a.ipynb", IS_FULL_ONCE, DIES_ONCE, "print('done')")
    book = tmp_path / "rules.yaml"
    book.write_text("variants: {original: {suffix: _original}, lite: {suffix: _lite}}\n")
    stale = tmp_path / "out/executed_lite.attempt-7.ipynb"
    stale.parent.mkdir()
    stale.write_text("of an earlier run")

    outputs = run(
        source, rules=book, variant="original", attempts=2, page=tmp_path / "out/page.html",
        on_gpu_oom="retry-lower", gpu_oom_variant="lite",
    )  # fmt: skip

    assert outputs.status == "flaky"
    kept = [attempt.notebook for attempt in outputs.attempts]
    names = [
        "executed_original.attempt-1.ipynb",
        "executed_lite.attempt-2.ipynb",
        "executed_lite.ipynb",
    ]
    assert kept == [tmp_path / "out" / name for name in names]
    assert "about to die" in (tmp_path / "out" / names[1]).read_text()
    assert "done" in outputs.notebook.read_text()
    assert sorted(path.name for path in (tmp_path / "out").glob("page*")) == [
        "page_lite.attempt-2.html",
        "page_lite.html",
        "page_original.attempt-1.html",
    ]
    assert not stale.exists()
