"""The guard in real kernels that the engine starts."""

import ast
import json
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from cuda_driver import fake_cuda
from guarded import GUARD, HERE, ON_HOST, SET_UP
from runs import OUTPUT, execute, statuses, text_of

from stepkit.engine.run_cells import Outcome
from stepkit.gpu.memory import guard_request, read_guard_log
from stepkit.gpu.memory.read_guard_log import GuardLog
from stepkit.gpu.step_options import GpuOptions

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("rmm_here")

SIMULATED = f"import sys\nsys.path.append({str(HERE)!r})\n{ON_HOST}"


def run(
    directory: Path, *sources: str, env: dict[str, str], kernel: str = "python3", **options: Any
) -> tuple[Outcome, GuardLog]:
    """Execute cells as a step would, with the guard that ``options`` ask for."""
    settings = guard_request.settings(GpuOptions(**options), directory / "guard.jsonl")
    env = {**env, **settings.environment()}
    outcome = execute(directory, *sources, kernel=kernel, env=env)
    return outcome, read_guard_log.read(directory / "guard.jsonl")


def error_of(outcome: Outcome) -> tuple[str, str]:
    [error] = [
        output
        for cell in outcome.notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type == "error"
    ]
    return error.ename, error.evalue


def install(directory: Path, spec: dict[str, Any]) -> None:
    """Install a kernel called stepkit."""
    path = directory / "kernels/stepkit/kernel.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(spec))


def sources(path: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(path, as_version=4).cells]


@pytest.mark.slow
def test_rmm_alone_hides_that_there_is_no_gpu(tmp_path: Path) -> None:
    outcome, log = run(tmp_path, SET_UP, env=fake_cuda(tmp_path), rmm_mode="off")

    has_no = "'CUDARuntimeError' object has no attribute 'msg'"
    assert error_of(outcome) == ("AttributeError", has_no)
    assert not log.active


def test_the_guard_shows_that_there_is_no_gpu(tmp_path: Path) -> None:
    outcome, log = run(tmp_path, SET_UP, "1 + 1", env=fake_cuda(tmp_path))

    assert error_of(outcome) == (
        "GpuMissing",
        "no GPU can be used: cudaErrorNoDevice: no CUDA-capable device is detected",
    )
    assert statuses(outcome) == ["error", "not-run"]
    assert log.active
    assert log.calls[0].cuda == "cudaErrorNoDevice"
    # RMM's own error is in the traceback, too.
    [error] = [o for c in outcome.notebook.cells for o in c.get("outputs", ())]
    assert any("has no attribute 'msg'" in line for line in error.traceback)


@pytest.mark.slow
def test_a_notebook_that_accepts_a_missing_gpu_goes_on_and_keeps_its_cells(tmp_path: Path) -> None:
    outcome, log = run(tmp_path, SET_UP, "print(2)", env=fake_cuda(tmp_path), gpu="optional")

    assert statuses(outcome) == ["ok", "ok"]
    warning = "RuntimeWarning: RMM is not set up: no GPU can be used"
    assert warning in text_of(outcome.notebook.cells[0])
    assert sources(tmp_path / OUTPUT) == sources(tmp_path / "a.ipynb")
    assert log.allocator.startswith("none: no GPU can be used: cudaErrorNoDevice")


@pytest.mark.slow
def test_the_guard_stays_active_after_a_reset(tmp_path: Path) -> None:
    cells = ("import rmm", "%reset -f", "import rmm\nrmm.reinitialize()")
    outcome, _ = run(tmp_path, *cells, env=fake_cuda(tmp_path))

    assert error_of(outcome)[0] == "GpuMissing"


@pytest.mark.slow
def test_the_guard_leaves_no_trace_in_the_notebooks_namespace(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "print([name for name in globals() if 'guard' in name], "
        "'STEPKIT_GUARD' in os.environ, any('stepkit/kernel' in p for p in sys.path))"
    )
    outcome, log = run(tmp_path, code, env=fake_cuda(tmp_path))

    assert text_of(outcome.notebook.cells[0]) == "[] False False\n"
    assert log.active


@pytest.mark.slow
def test_the_statistics_outlive_a_kernel_that_is_killed(tmp_path: Path) -> None:
    cells = (
        f"{SIMULATED}rmm.reinitialize()\nresource = rmm.mr.get_per_device_resource(0)",
        "pointer = resource.allocate(9 << 20)",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    )
    outcome, log = run(tmp_path, *cells, env={})

    assert statuses(outcome)[:2] == ["ok", "ok"]
    assert log.peak == 9 << 20


@pytest.mark.slow
def test_the_kernel_of_a_run_inside_a_guarded_run_is_not_a_child(tmp_path: Path) -> None:
    env = {**fake_cuda(tmp_path), "PYTHONPATH": str(GUARD.with_name("children"))}
    outcome, log = run(tmp_path, "import rmm", env=env, rmm_mode="pool")

    assert statuses(outcome) == ["ok"]
    assert len(log.calls) == 1  # a child sets nothing up at the import


@pytest.mark.slow
def test_a_kernel_starts_even_if_its_guard_cannot(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outcome = execute(tmp_path, "print(1)", env={guard_request.VARIABLE: "{"})

    assert statuses(outcome) == ["ok"]
    assert "stepkit: the guard of RMM is not active: Expecting property name" in caplog.text


@pytest.mark.slow
def test_a_users_kernelspec_starts_the_guarded_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (ROOT / "docs/gpu.md").read_text().splitlines()
    block = [line for line in lines if line.startswith("    ")][-6:]
    spec = json.loads("".join(block).replace("/tmp/guard.jsonl", f"{tmp_path}/guard.jsonl"))
    spec["argv"][0] = sys.executable
    install(tmp_path / "jupyter", spec)
    (tmp_path / "json.py").write_text("raise ImportError('a file of the notebook')")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    outcome = execute(tmp_path, SET_UP, env=fake_cuda(tmp_path), kernel="stepkit")

    assert error_of(outcome)[0] == "GpuMissing"
    assert read_guard_log.read(tmp_path / "guard.jsonl").active


@pytest.mark.slow
def test_the_kernels_environment_does_not_need_stepkit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    install(tmp_path, {"argv": argv, "display_name": "another", "language": "python"})
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    outcome, log = run(tmp_path, SET_UP, env=fake_cuda(tmp_path), kernel="stepkit")

    assert error_of(outcome)[0] == "GpuMissing"
    assert log.calls[0].cuda == "cudaErrorNoDevice"


@pytest.mark.parametrize("path", sorted(GUARD.rglob("*.py")), ids=lambda path: path.stem)
def test_the_guard_is_valid_python_3_9(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 9))
