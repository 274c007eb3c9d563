"""Notebooks that ask for a GPU, on a machine whose driver is a fake of ours or missing."""

import json
import signal
import sys
from pathlib import Path

import nbformat
import nvml
import pytest
from cuda_driver import fake_cuda
from guarded import SET_UP
from kernels import Install
from samples import write_notebook
from step_runs import failed, printed, refused, run

from stepkit.errors import Cancelled, ConfigurationError, Reason, StepError, UserCodeError
from stepkit.gpu.monitor import run_metrics, timeline
from stepkit.gpu.session import GpuSession
from stepkit.html import nbconvert
from stepkit.steps.execute_notebook import Outputs
from stepkit.system.process_tree import Descendants

CUPY_IS_FULL = (
    "import rmm\n"
    "class OutOfMemoryError(MemoryError): pass\n"
    "raise OutOfMemoryError('Out of memory allocating 1,000 bytes (allocated so far: 0 bytes).')"
)
# The guard's request says which attempt this is; children may read it.
FULL_UNLESS_MANAGED = (
    "import json, os\nmode = json.loads(os.environ['STEPKIT_GUARD'])['mode']\nprint(mode)\n"
    "if mode != 'managed':\n    " + CUPY_IS_FULL.replace("\n", "\n    ")
)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has a driver")
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)


@pytest.fixture
def hidden_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that knows no device."""
    for name, value in fake_cuda(tmp_path, FAKE_CUDA_INIT="100").items():
        monkeypatch.setenv(name, value)


def outputs_of(error: StepError) -> Outputs:
    assert isinstance(error.outputs, Outputs)
    return error.outputs


@pytest.mark.slow
@pytest.mark.usefixtures("hidden_gpu")
def test_rmms_own_bug_does_not_hide_that_there_is_no_gpu(tmp_path: Path) -> None:
    source = write_notebook(tmp_path / "a.ipynb", SET_UP, "cp.zeros(3)")
    before = source.read_bytes()

    error = failed(source)

    assert type(error) is ConfigurationError
    assert error.reason == Reason.GPU_MISSING
    assert str(error).startswith("the NVIDIA driver is there, but shows this container no GPU")
    assert "cudaErrorNoDevice" in str(error)
    assert "has no attribute 'msg'" not in str(error)
    assert "1 cell after it did not run" in str(error)
    guard = outputs_of(error).guard
    assert guard is not None
    assert guard["active"]
    assert [call["cuda"] for call in guard["calls"]] == ["cudaErrorNoDevice"]
    cells = nbformat.read(tmp_path / "out/executed.ipynb", as_version=4).cells
    assert SET_UP in [cell.source for cell in cells]
    assert source.read_bytes() == before


@pytest.mark.slow
@pytest.mark.usefixtures("no_gpu")
def test_a_missing_driver_is_not_reported_as_an_old_one(tmp_path: Path) -> None:
    message = refused(write_notebook(tmp_path / "a.ipynb", SET_UP), reason=Reason.GPU_MISSING)

    assert message.startswith("there is no NVIDIA driver here (libcuda.so.1)")
    assert "nvidia.com/gpu: 1" in message


@pytest.mark.usefixtures("no_gpu")
def test_a_required_gpu_is_checked_before_the_first_cell(tmp_path: Path) -> None:
    source = write_notebook(tmp_path / "a.ipynb", "open('ran', 'w').close()")

    message = refused(source, gpu="required", reason=Reason.GPU_MISSING)

    assert "there is no NVIDIA driver here" in message
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "out/executed.ipynb").exists()


@pytest.mark.usefixtures("no_gpu")
def test_a_notebook_goes_on_without_an_optional_gpu(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    falls_back = (
        "import rmm, numpy\nrmm.reinitialize(pool_allocator=True)\nprint(numpy.arange(4).sum())"
    )
    outputs = run(write_notebook(tmp_path / "a.ipynb", falls_back), gpu="optional")

    assert outputs.status == "succeeded"
    assert "6" in printed(outputs.notebook)
    assert "there is no NVIDIA driver here" in caplog.text


@pytest.mark.slow
@pytest.mark.usefixtures("no_gpu")
def test_a_hidden_gpu_is_not_reported_as_a_missing_one(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "import cupy\ncupy.zeros(3)")

    assert "--gpu none" in refused(notebook, gpu="none")


def test_a_mode_that_contradicts_its_sizes_is_refused_before_the_kernel_starts(
    tmp_path: Path,
) -> None:
    source = write_notebook(tmp_path / "a.ipynb", "open('ran', 'w').close()")
    message = refused(source, rmm_pool_size="1GiB")

    assert message.startswith("--rmm-pool-size needs --rmm-mode pool or async")
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "out").exists()


def test_full_gpu_memory_has_its_own_reason(tmp_path: Path) -> None:
    error = failed(write_notebook(tmp_path / "a.ipynb", "1", CUPY_IS_FULL))

    assert type(error) is UserCodeError
    assert error.reason == Reason.GPU_OUT_OF_MEMORY
    assert "cell 2 of 2" in str(error)
    assert "Out of memory allocating 1,000 bytes" in str(error)
    assert error.evidence is not None
    assert error.evidence.ename == "OutOfMemoryError"
    assert outputs_of(error).attempts == ()
    assert not list((tmp_path / "out").glob("*attempt*"))


def test_a_notebook_runs_again_on_lower_rungs_until_its_arrays_fit(tmp_path: Path) -> None:
    source = write_notebook(tmp_path / "a.ipynb", FULL_UNLESS_MANAGED, "print('the end')")

    lower = {"on_gpu_oom": "retry-lower", "rmm_mode": "pool", "rmm_children": True}

    outputs = run(source, metrics=tmp_path / "out/executed.prom", **lower)

    assert outputs.status == "succeeded"
    assert "attempt 3 of 3" in outputs.message
    assert [(a.number, a.status, a.reason) for a in outputs.attempts] == [
        (1, "failed", Reason.GPU_OUT_OF_MEMORY),
        (2, "failed", Reason.GPU_OUT_OF_MEMORY),
        (3, "succeeded", Reason.OK),
    ]
    out = tmp_path / "out"
    kept = [out / "executed.attempt-1.ipynb", out / "executed.attempt-2.ipynb"]
    assert [attempt.notebook for attempt in outputs.attempts] == [*kept, out / "executed.ipynb"]
    assert [printed(path).split()[0] for path in kept] == ["pool", "async"]
    assert printed(outputs.notebook).split() == ["managed", "the", "end"]
    assert "OutOfMemoryError" in (out / "papermill.attempt-1.log").read_text()
    assert (out / "executed.attempt-1.timeline.json.gz").exists()
    assert list(out.glob("*.prom")) == [out / "executed.prom"]


@pytest.mark.slow
def test_when_no_attempt_has_enough_memory_all_of_them_are_reported(tmp_path: Path) -> None:
    source = write_notebook(tmp_path / "a.ipynb", CUPY_IS_FULL)
    error = failed(source, on_gpu_oom="retry-lower", rmm_mode="cuda", rmm_overflow="1GiB")

    assert type(error) is UserCodeError
    assert error.reason == Reason.GPU_OUT_OF_MEMORY
    assert "attempt 2 of 2" in str(error)
    assert [a.status for a in outputs_of(error).attempts] == ["failed", "failed"]
    assert (tmp_path / "out/executed.ipynb").exists()
    assert (tmp_path / "out/executed.attempt-1.ipynb").exists()


@pytest.mark.slow
def test_a_notebook_that_uses_cudf_spills_before_it_has_managed_memory(tmp_path: Path) -> None:
    (tmp_path / "cudf.py").touch()
    full_unless_spilling = (
        "import cudf, os\nspill = os.environ.get('CUDF_SPILL')\nprint(spill)\nif not spill:\n    "
        + CUPY_IS_FULL.replace("\n", "\n    ")
    )
    outputs = run(
        write_notebook(tmp_path / "a.ipynb", f"import rmm\n{full_unless_spilling}"),
        on_gpu_oom="retry-lower",
    )

    assert outputs.message.endswith("on attempt 2 of 3, with CUDF_SPILL=on")
    assert [attempt.rung for attempt in outputs.attempts] == ["as asked", "with CUDF_SPILL=on"]
    assert printed(outputs.notebook) == "on\n"


@pytest.mark.slow
def test_what_the_guard_warns_of_is_logged_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "dask_cuda.py").touch()
    outputs = run(write_notebook(tmp_path / "a.ipynb", "import rmm, dask_cuda"), rmm_mode="pool")

    assert outputs.guard
    (warning,) = outputs.guard["warnings"]
    assert warning.startswith("dask_cuda is imported: the guard leaves RMM as Dask and")
    assert f"the GPU's memory: {warning}" in caplog.messages
    assert outputs.allocator.startswith("plain CUDA, RMM's default")


@pytest.mark.slow
def test_limits_of_libraries_are_in_the_kernels_environment(tmp_path: Path) -> None:
    code = "import os\nprint(os.environ['CUPY_GPU_MEMORY_LIMIT'], os.environ['CUDF_SPILL'])"
    options = {"cupy_memory_limit": "50%", "cudf_spill": True, "rmm_mode": "off"}
    outputs = run(write_notebook(tmp_path / "a.ipynb", code), **options)

    assert printed(outputs.notebook) == "50% on\n"


def test_a_variant_for_the_last_attempt_that_does_not_exist_is_refused_at_once(
    tmp_path: Path,
) -> None:
    source = write_notebook(tmp_path / "a.ipynb", "open('ran', 'w').close()")
    message = refused(source, on_gpu_oom="retry-lower", gpu_oom_variant="lite")

    assert message == (
        "there is no variant 'lite': there is no rules file (--rules); original needs none"
    )
    assert list(tmp_path.iterdir()) == [source]


def test_a_misspelled_notebook_or_size_removes_no_kept_attempt(tmp_path: Path) -> None:
    kept = tmp_path / "out/executed.attempt-1.ipynb"
    kept.parent.mkdir()
    kept.write_text("of an earlier run")

    assert failed(tmp_path / "mistyped.ipynb").reason == Reason.NOT_FOUND
    source = write_notebook(tmp_path / "a.ipynb", "1")
    metrics = tmp_path / "a.prom"
    metrics.write_text("yesterday's success")
    assert "is not a size" in refused(source, cupy_memory_limit="8GiBB", metrics=metrics)
    assert 'status="failed"} 1' in metrics.read_text()
    assert kept.read_text() == "of an earlier run"


def test_another_allocator_is_not_tried_for_a_notebook_without_rmm(tmp_path: Path) -> None:
    source = write_notebook(tmp_path / "a.ipynb", CUPY_IS_FULL.removeprefix("import rmm\n"))
    error = failed(source, on_gpu_oom="retry-lower")

    assert error.reason == Reason.GPU_OUT_OF_MEMORY
    assert str(error).startswith("another allocator of RMM's would not help, ")
    assert [a.number for a in outputs_of(error).attempts] == [1]
    assert not list((tmp_path / "out").glob("*attempt*"))


def test_a_variant_that_does_not_fit_is_refused_before_the_first_attempt(tmp_path: Path) -> None:
    source = write_notebook(tmp_path / "a.ipynb", "open('ran', 'w').close()")
    book = tmp_path / "rules.yaml"
    book.write_text("variants: {lite: {suffix: _lite, parameters: {no_such: 1}}}\n")
    message = refused(source, on_gpu_oom="retry-lower", gpu_oom_variant="lite", rules=book)

    assert "no_such" in message
    assert not (tmp_path / "ran").exists()


def test_an_ordinary_failure_is_not_tried_again(tmp_path: Path) -> None:
    source = write_notebook(tmp_path / "a.ipynb", "raise MemoryError('Unable to allocate 1 TiB')")
    error = failed(source, on_gpu_oom="retry-lower")

    assert error.reason == Reason.CELL_ERROR
    assert [a.number for a in outputs_of(error).attempts] == [1]


def test_the_memory_of_each_cell_is_reported_and_the_samples_are_kept(tmp_path: Path) -> None:
    grows = "import time; block = b'x' * 150_000_000; time.sleep(0.5)"
    outputs = run(write_notebook(tmp_path / "a.ipynb", "1", grows, "del block"))

    assert outputs.timeline == tmp_path / "out/executed.timeline.json.gz"
    samples = timeline.read(outputs.timeline)
    assert len(samples.seconds) == len(samples.columns["rss"]) > 3
    peaks = [cell.rss_peak or 0 for cell in outputs.cells]
    assert peaks[0] > 0
    assert peaks[1] > 150_000_000
    assert outputs.gpu is not None
    assert outputs.gpu["rss_peak"] >= peaks[1]


def test_without_sampling_there_are_no_samples(tmp_path: Path) -> None:
    outputs = run(write_notebook(tmp_path / "a.ipynb", "1"), sampling=False)

    assert outputs.timeline is None
    assert outputs.gpu is None
    assert [cell.rss_peak for cell in outputs.cells] == [None]
    assert not list((tmp_path / "out").glob("*.timeline*"))


@pytest.mark.slow
def test_samples_of_an_earlier_run_are_removed(tmp_path: Path) -> None:
    stale = tmp_path / "out/executed.timeline.json.gz"
    stale.parent.mkdir()
    stale.write_text("old")

    run(write_notebook(tmp_path / "a.ipynb", "1"), sampling=False)

    assert not stale.exists()


def test_metrics_say_how_the_run_ended(tmp_path: Path) -> None:
    outputs = run(write_notebook(tmp_path / "a.ipynb", "1"), metrics=tmp_path / "out/a.prom")

    assert outputs.metrics == tmp_path / "out/a.prom"
    assert "stepkit_" in outputs.metrics.read_text()


def test_metrics_name_the_notebook_by_its_path_in_its_repository(tmp_path: Path) -> None:
    (tmp_path / "source/.git").mkdir(parents=True)
    (tmp_path / "source/nb").mkdir()
    (tmp_path / "source/nb/a.ipynb").touch()

    labels = [
        run_metrics.labels(Path("out/output_analysis.ipynb"), tmp_path / path)
        for path in ("source/nb/a.ipynb", "elsewhere/a.ipynb")
    ]

    assert labels == [
        {"notebook": "output_analysis", "source": "nb/a.ipynb"},
        {"notebook": "output_analysis", "source": "a.ipynb"},
    ]


@pytest.mark.slow
def test_metrics_of_a_run_without_its_page_report_a_failure(tmp_path: Path) -> None:
    (tmp_path / "page.html").mkdir()
    places = {"page": tmp_path / "page.html", "metrics": tmp_path / "a.prom"}
    error = failed(write_notebook(tmp_path / "a.ipynb", "1"), **places)

    metrics = (tmp_path / "a.prom").read_text()
    assert 'stepkit_notebook_success{notebook="executed",source="a.ipynb"} 0' in metrics
    assert (
        f'stepkit_notebook_exit_code{{notebook="executed",source="a.ipynb"}} {error.exit_code}'
        in metrics
    )


@pytest.mark.usefixtures("no_gpu")
def test_metrics_of_a_run_that_never_began_report_a_failure(tmp_path: Path) -> None:
    source = write_notebook(tmp_path / "a.ipynb", "1")
    run(source, metrics=tmp_path / "a.prom")
    failed(source, metrics=tmp_path / "a.prom", gpu="required")

    metrics = (tmp_path / "a.prom").read_text()
    assert 'stepkit_notebook_success{notebook="executed",source="a.ipynb"} 0' in metrics
    assert 'stepkit_notebook_exit_code{notebook="executed",source="a.ipynb"} 2' in metrics
    assert 'stepkit_notebook_cells{notebook="executed",source="a.ipynb",state="ok"} 0' in metrics
    assert "no NVIDIA driver" in (tmp_path / "out/papermill.log").read_text()


def test_metrics_of_a_run_that_was_stopped_before_its_first_cell_are_not_those_of_yesterday(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_: object) -> None:
        raise Cancelled(signal.SIGTERM)

    monkeypatch.setattr(GpuSession, "require", stop)
    (tmp_path / "a.prom").write_text("yesterday's success")
    with pytest.raises(Cancelled):
        run(write_notebook(tmp_path / "a.ipynb", "1"), metrics=tmp_path / "a.prom")

    metrics = (tmp_path / "a.prom").read_text()
    assert (
        'stepkit_notebook_status{notebook="executed",source="a.ipynb",status="cancelled"} 1'
        in metrics
    )
    assert 'stepkit_notebook_exit_code{notebook="executed",source="a.ipynb"} 143' in metrics


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.slow
def test_a_notebook_that_continues_by_itself_without_a_gpu_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    catches = "import rmm\ntry: rmm.reinitialize()\nexcept RuntimeError: pass"
    assert run(write_notebook(tmp_path / "a.ipynb", catches)).allocator == "none"
    assert "the notebook went on although RMM found no GPU: cudaErrorInsuff" in caplog.text


def test_a_signal_after_the_last_cell_keeps_the_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_notebook(tmp_path / "a.ipynb", "1", "2")
    # The moment is played, the signal is real.
    monkeypatch.setattr(nbconvert, "try_to_write", lambda *_: signal.raise_signal(signal.SIGINT))

    with pytest.raises(Cancelled) as caught:
        run(source, page=tmp_path / "a.html")

    stopped = "stopped by SIGINT when 2 of 2 cells had run; their outputs are saved"
    assert str(caught.value) == stopped
    assert isinstance(caught.value.outputs, Outputs)
    assert [cell.status for cell in caught.value.outputs.cells] == ["ok", "ok"]
    assert caught.value.outputs.cells_run == 2


def test_a_signal_while_processes_are_ended_keeps_the_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_notebook(tmp_path / "a.ipynb", "1")
    once, really = iter([signal.SIGINT]), Descendants.end

    def end(self: Descendants) -> None:
        for signum in once:
            signal.raise_signal(signum)
        really(self)

    monkeypatch.setattr(Descendants, "end", end)

    with pytest.raises(Cancelled) as caught:
        run(source)

    assert isinstance(caught.value.outputs, Outputs)
    assert [cell.status for cell in caught.value.outputs.cells] == ["ok"]


@pytest.mark.slow
def test_the_report_can_be_written_as_json(tmp_path: Path) -> None:
    outputs = run(write_notebook(tmp_path / "a.ipynb", "1"))
    assert json.loads(json.dumps({"gpu": outputs.gpu, "guard": outputs.guard}))


IPYKERNEL = (sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}")
SAYS_WHAT_IT_SEES = "import os; print(repr(os.environ['CUDA_VISIBLE_DEVICES']))"


@pytest.mark.usefixtures("no_gpu")
def test_the_check_finds_the_driver_that_the_kernels_specification_names(
    tmp_path: Path, install_kernel: Install
) -> None:
    path = fake_cuda(tmp_path)["LD_LIBRARY_PATH"]
    install_kernel("other", *IPYKERNEL, LD_LIBRARY_PATH=path, FAKE_CUDA_INIT="100")

    error = failed(write_notebook(tmp_path / "a.ipynb", "1"), gpu="required", kernel="other")

    assert str(error).startswith("the NVIDIA driver is there, but shows this container no GPU")


@pytest.mark.slow
def test_a_gpu_is_hidden_from_a_kernel_that_says_itself_which_it_sees(
    tmp_path: Path, install_kernel: Install
) -> None:
    install_kernel("other", *IPYKERNEL, CUDA_VISIBLE_DEVICES="0")
    source = write_notebook(tmp_path / "a.ipynb", SAYS_WHAT_IT_SEES)

    assert printed(run(source, gpu="none", kernel="other").notebook) == "''\n"


def test_a_gpu_is_hidden_from_a_kernel_without_a_guard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, install_kernel: Install
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    argv = (sys.executable, "-c", "import ipykernel.kernelapp as a; a.launch_new_instance()")
    install_kernel("other", *argv, "-f", "{connection_file}")
    source = write_notebook(tmp_path / "a.ipynb", SAYS_WHAT_IT_SEES)

    outputs = run(source, gpu="none", kernel="other")

    assert printed(outputs.notebook) == "''\n"
    assert outputs.guard is not None
    assert not outputs.guard["active"]


BREAKS = """\
import os
with open(os.environ['FAKE_NVML_STATE'], 'a') as state:
    print('xid 79', file=state)
os._exit(1)"""


def test_what_broke_a_gpu_at_the_very_end_is_reported(tmp_path: Path) -> None:
    with nvml.installed(tmp_path) as driver:
        driver.set(devices=1)
        error = failed(write_notebook(tmp_path / "a.ipynb", BREAKS))

    assert (error.reason, error.exit_code) == (Reason.GPU_FAILED, 4)
    assert "the driver reports XID 79, it fell off the bus" in str(error)
    gpu = outputs_of(error).gpu
    assert gpu is not None
    assert [device["xids"] for device in gpu["devices"]] == [(79,)]


@pytest.mark.slow
def test_a_driver_that_hangs_does_not_delay_a_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepkit.system.nvml.ANSWER_SECONDS", 0.1)
    with nvml.installed(tmp_path) as driver:
        driver.set(devices=1, hang=1)
        outputs = run(write_notebook(tmp_path / "a.ipynb", "1"))
        driver.set(hang=0)

    assert outputs.status == "succeeded"
    assert outputs.gpu is not None
    assert "the driver did not answer" in outputs.gpu["errors"][0]
