"""Preflight, guard, retry after OOM and sampler on a real NVIDIA GPU: `make test-gpu`.

At most 4 GiB of its memory and 3 of the host's are used.
"""

import os
import re
import time
from pathlib import Path

import pytest
from guarded import SET_UP, guarded
from rmm_attempts import attempting, caught, last

from stepkit.errors import Reason
from stepkit.gpu.health import preflight, remedies
from stepkit.gpu.health.preflight import Diagnosis
from stepkit.gpu.memory import oom_retry
from stepkit.gpu.monitor.sampler import Sampler
from stepkit.gpu.step_options import GpuOptions
from stepkit.notebook import attempts
from stepkit.notebook.retry_options import RetryOptions

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("real_gpu")]

MIB = 1 << 20
GIB = 1 << 30

SETUP = f"import json\n{SET_UP}"
# Sums up to 12 * 2**20 are exact in float32.
THREE_GIB = """\
alive = [cp.full(64 << 20, number, dtype=cp.float32) for number in range(1, 13)]
print(json.dumps(sum(float(array[: 1 << 20].sum()) for array in alive)))
"""
RIGHT = float(sum(range(1, 13)) << 20)


def test_the_preflight_finds_the_gpu_that_the_driver_shows(real_gpu: Diagnosis) -> None:
    first = real_gpu.devices[0]

    assert (real_gpu.trouble, first.index) == (None, 0)
    assert first.memory_total > GIB
    assert first.memory_free is None or first.memory_free <= first.memory_total
    assert re.fullmatch(r"[0-9]+(\.[0-9]+)+", first.driver)
    assert re.fullmatch(r"[0-9]+\.[0-9]+", first.cuda)
    assert re.fullmatch(r"[0-9]+\.[0-9]", first.compute_capability)
    assert first.name in real_gpu.message


def test_a_hidden_gpu_is_reported_as_missing() -> None:
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}

    found = preflight.diagnose(need="required", env=env, tries=1)

    assert found.trouble is not None
    assert found.error().reason == Reason.GPU_MISSING


def test_asking_for_more_memory_than_the_gpu_has_is_refused(real_gpu: Diagnosis) -> None:
    wanted = 4 * real_gpu.devices[0].memory_total

    found = preflight.diagnose(need="required", min_memory=wanted, tries=1)

    assert not found.usable
    assert found.error().exit_code in {2, 4}


@pytest.mark.parametrize(
    ("mode", "allocator"),
    [
        ("respect", "plain CUDA"),
        ("cuda", "plain CUDA"),
        ("pool", "pool"),
        ("async", "CUDA's async pool"),
        ("managed", "managed memory"),
    ],
)
def test_each_mode_computes_correctly_with_the_allocator_it_names(
    mode: str, allocator: str, tmp_path: Path
) -> None:
    initial = 256 * MIB if mode in {"pool", "async"} else None
    code = f"{SETUP}print(json.dumps(float(cp.arange(1 << 20, dtype=cp.float64).sum())))\n"

    done = guarded(tmp_path, code, mode=mode, initial=initial)

    assert last(done) == float(sum(range(1 << 20)))
    assert done.log.active
    assert not done.log.lowered
    assert allocator in done.log.allocator
    assert done.log.warnings == ()


def test_the_statistics_count_what_the_notebook_took(tmp_path: Path) -> None:
    code = "x = cp.zeros(64 << 20, dtype=cp.uint8)\ndel x\nx = cp.zeros(16 << 20, dtype=cp.uint8)\n"

    log = guarded(tmp_path, SETUP + code).log

    assert log.peak == 64 * MIB
    assert log.total == 80 * MIB
    assert log.allocations == 2


def test_a_pool_makes_no_context_when_rmm_is_imported(tmp_path: Path) -> None:
    code = (
        "import importlib, json, rmm\n"
        "cuda_device = importlib.import_module('stepkit_guard.cuda_device')\n"
        "before = cuda_device.initialised()\n"
        "buffer = rmm.DeviceBuffer(size=1 << 20)\n"
        "print(json.dumps([before, cuda_device.initialised()]))\n"
    )

    done = guarded(tmp_path, code, mode="pool", initial=256 * MIB, maximum=GIB)

    assert last(done) == [False, True]
    assert done.log.peak == MIB


def test_without_overflow_a_full_pool_is_an_out_of_memory_error_of_the_gpu(tmp_path: Path) -> None:
    done = guarded(tmp_path, SETUP + caught(THREE_GIB), mode="pool", initial=512 * MIB, maximum=GIB)

    cause = remedies.find(*last(done))
    assert cause is not None
    assert cause.reason == Reason.GPU_OUT_OF_MEMORY


def test_with_overflow_three_gib_in_a_pool_of_one_have_the_correct_sum(tmp_path: Path) -> None:
    done = guarded(
        tmp_path,
        SETUP + THREE_GIB,
        mode="pool",
        initial=512 * MIB,
        maximum=GIB,
        overflow=5 * GIB // 2,
    )

    assert last(done) == RIGHT
    assert done.log.peak is not None
    assert done.log.peak >= 3 * GIB


@pytest.mark.parametrize(
    "code",
    ["rmm.DeviceBuffer(size=size)", "cp.cuda.set_allocator(None)\ncp.zeros(size, dtype=cp.uint8)"],
    ids=["rmm", "cupy"],
)
def test_an_array_larger_than_the_gpu_is_an_out_of_memory_error(code: str, tmp_path: Path) -> None:
    size = "size = 4 * rmm.mr.available_device_memory()[1]\n"

    done = guarded(tmp_path, SETUP + size + caught(code))

    cause = remedies.find(*last(done))
    assert cause is not None
    assert cause.reason == Reason.GPU_OUT_OF_MEMORY


def test_a_notebook_too_large_for_its_pools_succeeds_with_managed_memory(tmp_path: Path) -> None:
    options = GpuOptions(
        rmm_mode="pool",
        rmm_pool_size="512MiB",
        rmm_maximum_pool_size="1GiB",
        on_gpu_oom="retry-lower",
    )
    served: list[str] = []

    outputs = attempts.run(
        attempting(tmp_path, options, SETUP + caught(THREE_GIB), served),
        oom_retry.rungs(options, managed_limit=5 * GIB // 2),
        lambda _: (),
        below=oom_retry.below,
        retry=RetryOptions(),
    )

    assert [a.reason for a in outputs.attempts] == [Reason.GPU_OUT_OF_MEMORY] * 2 + [Reason.OK]
    assert outputs.message.startswith(f"sum {RIGHT}, on attempt 3 of 3, with managed memory")
    for name, allocator in zip(("pool", "async", "managed"), served, strict=True):
        assert name in allocator


def test_the_sampler_sees_the_memory_that_another_process_takes(tmp_path: Path) -> None:
    code = (
        f"{SETUP}import time\n"
        "x = cp.zeros(1 << 30, dtype=cp.uint8)\n"
        "cp.cuda.runtime.deviceSynchronize()\n"
        "time.sleep(2)\n"
    )

    with Sampler() as watching:
        time.sleep(0.5)
        done = guarded(tmp_path, code)
    timeline = watching.timeline()

    assert done.code == 0, done.stderr
    assert timeline.errors == ()
    used = timeline.extents["gpu0.memory_used"]
    assert used.highest - used.first >= GIB
