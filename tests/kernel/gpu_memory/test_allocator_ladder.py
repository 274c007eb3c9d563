"""The ladder on a GPU simulated in host memory; pools, limits and statistics are RMM's own."""

import json
from pathlib import Path

import pytest
from guarded import HERE, ON_HOST, Guarded, guarded

MIB = 1 << 20

SHOW = """
resource = rmm.mr.get_per_device_resource(0)
print(type(resource).__name__, resource.__class__.__name__)
"""


def test_the_allocator_that_was_asked_serves_when_it_fits(on_host: Guarded) -> None:
    code = "rmm.reinitialize(pool_allocator=True, initial_pool_size='64MiB')" + SHOW
    done = on_host(code)

    assert done.stdout == "StatisticsResourceAdaptor PoolMemoryResource\n"
    assert done.log.allocator == "pool of 64.0 MiB, as asked"
    assert not done.log.lowered
    assert done.log.calls[0].arguments == "pool_allocator=True, initial_pool_size='64MiB'"
    assert done.log.calls[0].tried == ()


def test_a_pool_that_does_not_fit_takes_half_of_what_is_free(on_host: Guarded) -> None:
    code = "rmm.reinitialize(True, initial_pool_size=4 << 30)\nprint(host_gpu.used >> 20)" + SHOW
    done = on_host(code)

    assert done.stdout == "512\nStatisticsResourceAdaptor PoolMemoryResource\n"
    assert done.log.allocator == "pool of 512.0 MiB: the pool of 4.0 GiB did not fit"
    assert done.log.lowered
    [tried] = done.log.calls[0].tried
    assert tried.startswith("pool of 4.0 GiB: MemoryError: std::bad_alloc")


@pytest.mark.slow
def test_a_size_that_rmm_does_not_take_is_rounded(on_host: Guarded) -> None:
    code = "rmm.reinitialize(pool_allocator=True, initial_pool_size=64_000_100)" + SHOW
    done = on_host(code)

    [event] = [event for event in done.events if event["event"] == "reinitialize"]
    assert event["served"]["rung"] == "rounded"
    assert event["served"]["bytes"] == 64_000_000
    assert "multiple of 256" in event["tried"][0]["error"]
    assert done.log.allocator == "pool of 61.0 MiB: the pool of 61.0 MiB was refused"


@pytest.mark.slow
def test_a_pool_grows_when_half_of_what_is_free_cannot_be_had(on_host: Guarded) -> None:
    # Fragmented memory: CUDA reports more as free than it can hand out.
    code = "host_gpu.TOTAL = 300 << 20\nrmm.mr.available_device_memory = lambda: (1 << 30, 1 << 30)"
    done = on_host(f"{code}\nrmm.reinitialize(pool_allocator=True, initial_pool_size=2 << 30)")

    assert done.log.allocator == "pool of 256.0 MiB: the pool of 2.0 GiB did not fit"
    assert len(done.log.calls[0].tried) == 2


@pytest.mark.slow
def test_plain_cuda_serves_where_no_pool_can(on_host: Guarded) -> None:
    code = "host_gpu.TOTAL = 100 << 20\nrmm.reinitialize(True, False, '400MiB')" + SHOW
    code += "p = resource.allocate(1 << 20)\nresource.deallocate(p, 1 << 20)\n"
    failing = "rmm.mr.available_device_memory = lambda: (1 << 30, 1 << 30)\n"
    done = on_host(failing + code)

    # The callback is that of the simulated GPU.
    assert done.stdout == "StatisticsResourceAdaptor CallbackMemoryResource\n"
    assert done.log.allocator == "plain CUDA: the pool of 400.0 MiB did not fit"
    assert done.log.peak == MIB


def test_rmm_is_consistent_after_each_failure(on_host: Guarded) -> None:
    code = """
try:
    rmm.reinitialize(devices=[1, 7])
except RuntimeError as error:
    print(error)
print(host_gpu.current, type(rmm.mr.get_per_device_resource(0)).__name__)
rmm.reinitialize(devices=[0, 1], pool_allocator=True, initial_pool_size=4 << 30)
print(host_gpu.current, [rmm.mr.get_per_device_resource(n).pool_size() >> 20 for n in (0, 1)])
"""
    done = on_host(code, env={"HOST_GPU_BYTES": str(2 << 30)})

    assert done.stdout.splitlines() == [
        "cudaErrorInvalidDevice: invalid device ordinal",
        "0 CudaMemoryResource",
        "0 [1024, 1024]",
    ]


def test_errors_in_the_notebooks_call_reach_it_unchanged(tmp_path: Path, on_host: Guarded) -> None:
    code = """
import json
def shown(*args, **kwargs):
    try:
        rmm.reinitialize(*args, **kwargs)
    except BaseException as error:
        print(json.dumps([type(error).__name__, str(error), error.__cause__ is None]))
rmm.reinitialize(pool_allocator=True, initial_pool_size="64MiB")
shown(pool=True)
shown(True, False, None, None, 0, False, None, 8)
shown(pool_allocator=True, initial_pool_size="lots")
shown(pool_allocator=True, initial_pool_size=1.5)
shown(logging=True)
shown(pool_allocator=True, initial_pool_size=1 << 20, maximum_pool_size=1 << 16)
"""
    plain = on_host(code, mode="off")
    assert not plain.log.active
    for mode in ("respect", "pool"):
        done = on_host(code, mode=mode, initial=MIB)
        errors = [json.loads(line) for line in done.stdout.splitlines()]
        expected = [json.loads(line) for line in plain.stdout.splitlines()]
        assert done.log.active
        assert errors[:5] == expected[:5]
        # A mode replaces sizes that RMM can read but that contradict each other.
        assert len(expected) == 6
        assert len(errors) == (6 if mode == "respect" else 5)
        (tmp_path / "guard.jsonl").unlink()


def test_a_mode_sets_rmm_up_in_place_of_the_notebook(on_host: Guarded) -> None:
    code = "rmm.reinitialize(managed_memory=False, pool_allocator=False)" + SHOW
    done = on_host(code, mode="pool", initial=0.25, maximum=0.5)

    assert done.stdout == "StatisticsResourceAdaptor PoolMemoryResource\n"
    assert done.log.allocator == "pool of 256.0 MiB, as --rmm-mode asks"
    assert done.log.calls[-1].arguments == "managed_memory=False, pool_allocator=False"


@pytest.mark.slow
def test_a_mode_applies_to_a_notebook_that_never_sets_rmm_up(tmp_path: Path, python: str) -> None:
    simulated = f"import sys\nsys.path.append({str(HERE)!r})\n{ON_HOST}"
    done = guarded(tmp_path, SHOW, python=python, first=simulated, mode="pool", initial=64 * MIB)

    assert done.stdout == "StatisticsResourceAdaptor PoolMemoryResource\n"
    assert done.log.allocator == "pool, as --rmm-mode asks"
    assert done.log.calls[0].arguments == ""


@pytest.mark.slow
def test_a_share_refers_to_what_was_free_before_the_modes_own_pool(
    tmp_path: Path, python: str
) -> None:
    simulated = f"import sys\nsys.path.append({str(HERE)!r})\n{ON_HOST}"
    code = "rmm.reinitialize()\nrmm.reinitialize(True)\nprint(host_gpu.used >> 20)"
    done = guarded(tmp_path, code, python=python, first=simulated, mode="pool", initial=0.25)

    assert [call.served for call in done.log.calls] == ["pool", *["pool of 256.0 MiB"] * 2]
    assert not any(call.lowered for call in done.log.calls)
    assert done.stdout == "256\n"


def test_a_pool_size_in_bytes_is_limited_by_a_maximum_as_a_share(on_host: Guarded) -> None:
    code = "rmm.reinitialize()" + SHOW
    done = on_host(code, mode="pool", initial=512 * MIB, maximum=0.25)

    assert done.stdout == "StatisticsResourceAdaptor PoolMemoryResource\n"
    assert done.log.calls[-1].served == "pool of 256.0 MiB"


def test_respect_leaves_rmm_alone_until_the_notebook_sets_it_up(on_host: Guarded) -> None:
    done = on_host(SHOW)

    assert done.stdout == "CudaMemoryResource CudaMemoryResource\n"
    assert done.log.rmm
    assert done.log.calls == ()
    assert done.log.allocator == "plain CUDA, RMM's default: the notebook did not set RMM up"


@pytest.mark.slow
def test_a_pool_replaces_async_where_the_driver_does_not_support_it(on_host: Guarded) -> None:
    code = "rmm.reinitialize()" + SHOW
    done = on_host(code, mode="async", release_threshold=0)

    assert done.stdout == "StatisticsResourceAdaptor PoolMemoryResource\n"
    assert done.log.allocator == "pool of 256.0 MiB: CUDA's async pool was refused"


@pytest.mark.slow
def test_a_maximum_limits_an_allocator_without_a_pool(on_host: Guarded) -> None:
    code = """
rmm.reinitialize()
resource = rmm.mr.get_per_device_resource(0)
resource.allocate(3 << 20)
try:
    resource.allocate(2 << 20)
except MemoryError as error:
    print("Exceeded memory limit" in str(error))
"""
    done = on_host(code, mode="cuda", maximum=4 * MIB)

    assert done.stdout == "True\n", done.stderr
    assert done.log.allocator == "plain CUDA, as --rmm-mode asks"


@pytest.mark.slow
def test_a_pool_is_freed_before_the_next_one_is_made(on_host: Guarded) -> None:
    code = """
import gc
gc.disable()
for _ in range(3):
    rmm.reinitialize(pool_allocator=True, initial_pool_size="700MiB")
    print(host_gpu.used >> 20)
"""
    done = on_host(code)

    assert done.stdout == "700\n" * 3
    assert not done.log.lowered


@pytest.mark.slow
def test_every_call_adds_statistics(on_host: Guarded) -> None:
    code = """
for megabytes in (3, 2):
    rmm.reinitialize(pool_allocator=True, initial_pool_size="64MiB")
    resource = rmm.mr.get_per_device_resource(0)
    resource.deallocate(resource.allocate(megabytes << 20), megabytes << 20)
    print(resource.allocation_counts.total_count, resource.pool_size() >> 20)
"""
    done = on_host(code)

    assert done.stdout == "1 64\n1 64\n"
    assert done.log.peak == 3 * MIB
    counted = [event for event in done.events if event["event"] == "statistics"]
    assert [event.get("peak_bytes") for event in counted] == [None, 3 * MIB, 2 * MIB]


def test_statistics_outlive_a_process_that_is_killed(on_host: Guarded) -> None:
    code = """
rmm.reinitialize()
resource = rmm.mr.get_per_device_resource(0)
pointer = resource.allocate(5 << 20)
active.cell_ended()
active.cell_ended()
import os, signal
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = on_host(code)

    assert done.code == -9
    assert done.log.peak == 5 * MIB
    assert len([event for event in done.events if event.get("when") == "cell"]) == 1


@pytest.mark.slow
def test_a_resource_that_the_notebook_sets_itself_is_logged(on_host: Guarded) -> None:
    code = """
rmm.reinitialize(pool_allocator=True, initial_pool_size="64MiB")
bins = rmm.mr.BinningMemoryResource(host_gpu.device_memory())
rmm.mr.set_per_device_resource(0, bins)
"""
    done = on_host(code)

    assert done.log.allocator == ("BinningMemoryResource, as the notebook or a library set it up")


@pytest.mark.slow
def test_a_logging_resource_stays_outermost(on_host: Guarded) -> None:
    code = "rmm.reinitialize(logging=True, log_file_name='rmm.csv')" + SHOW
    done = on_host(code)

    assert done.stdout == "CallbackMemoryResource CallbackMemoryResource\n"  # nothing on top


@pytest.mark.slow
def test_cupys_own_pool_is_the_last_rung(on_host: Guarded) -> None:
    code = """
def broken(**_):
    raise MemoryError("std::bad_alloc: out_of_memory")
rmm.rmm._initialize = rmm.mr._initialize = broken
rmm.reinitialize(pool_allocator=True)
"""
    done = on_host(code)

    assert done.code == 0, done.stderr
    assert done.log.allocator == "CuPy's own pool: the pool did not fit"
    assert len(done.log.calls[0].tried) == 3


@pytest.mark.slow
def test_a_rung_that_failed_keeps_nothing_of_the_notebook_alive(on_host: Guarded) -> None:
    code = """
import gc, weakref
class Array: pass
def set_up():
    array = Array()
    rmm.reinitialize(pool_allocator=True, initial_pool_size=4 << 30)
    return weakref.ref(array)
gc.disable()
print(set_up()() is None)
"""
    done = on_host(code)

    assert done.stdout == "True\n", done.stderr
