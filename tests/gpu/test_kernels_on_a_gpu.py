"""The guard in real kernels on a real NVIDIA GPU: `make test-gpu`."""

import re
from pathlib import Path

import pytest
from guarded import SET_UP
from runs import execute, statuses, text_of

from stepkit.errors import Reason
from stepkit.gpu.health import remedies
from stepkit.gpu.memory import guard_request, read_guard_log
from stepkit.gpu.step_options import GpuOptions

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("real_gpu")]


@pytest.mark.parametrize(
    ("mode", "allocator"),
    [("respect", "plain CUDA"), ("pool", "pool"), ("async", "CUDA's async pool")],
)
def test_a_notebook_gets_the_allocator_that_its_user_chose(
    mode: str, allocator: str, tmp_path: Path
) -> None:
    size = "256MiB" if mode == "pool" else None
    options = GpuOptions(rmm_mode=mode, rmm_pool_size=size)  # type: ignore[arg-type]
    asked = guard_request.settings(options, tmp_path / "guard.jsonl")

    outcome = execute(
        tmp_path, SET_UP, "print(int(cp.arange(1000).sum()))", env=asked.environment()
    )

    log = read_guard_log.read(asked.report)
    assert statuses(outcome) == ["ok", "ok"]
    assert "499500" in text_of(outcome.notebook.cells[1])
    assert log.allocator.startswith(allocator)
    assert not log.lowered
    assert log.peak
    assert log.peak >= 8000


def test_the_versions_of_cuda_that_the_kernel_had_are_known(tmp_path: Path) -> None:
    outcome = execute(tmp_path, SET_UP, "print(int(cp.arange(1000).sum()))")

    facts = outcome.kernel_facts
    assert facts
    assert re.fullmatch(r"1\d\.\d+", facts.cuda_runtime)
    assert re.fullmatch(r"1\d\.\d+", facts.cuda_driver)
    assert any(name.startswith("rmm-cu") for name in facts.packages)


def test_a_cell_that_fills_the_gpu_is_an_out_of_memory_error(tmp_path: Path) -> None:
    too_large = "x = cp.zeros(4 * rmm.mr.available_device_memory()[1], dtype=cp.uint8)"
    asked = guard_request.settings(GpuOptions(), tmp_path / "guard.jsonl")

    outcome = execute(tmp_path, SET_UP, too_large, "1", env=asked.environment())

    failed = outcome.execution.cells[1]
    assert statuses(outcome) == ["ok", "error", "not-run"]
    assert failed.error is not None
    cause = remedies.find(failed.error.ename, failed.error.evalue)
    assert cause is not None
    assert cause.reason == Reason.GPU_OUT_OF_MEMORY
