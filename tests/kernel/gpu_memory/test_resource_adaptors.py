"""Overflow to the host, limits and prefetching; the GPU of 1 GiB is simulated in host memory."""

from typing import Any

import pytest
from guarded import Guarded

MIB = 1 << 20

SHOW = """
resource = rmm.mr.get_per_device_resource(0)
while resource is not None:
    print(type(resource).__name__, end=" ")
    resource = getattr(resource, "upstream_mr", None)
"""
FILL = """
rmm.reinitialize({})
resource = rmm.mr.get_per_device_resource(0)
pointers = []
try:
    for _ in range(100):
        pointers.append(resource.allocate(32 << 20))
except MemoryError as error:
    print("full", len(pointers))
active.cell_ended()
for pointer in pointers:
    resource.deallocate(pointer, 32 << 20)
print(host_gpu.used)
"""
NO_PAGING = "host_gpu.gpu.getDeviceAttribute = lambda *_: 0\n"
# The lowest one is the simulated GPU's.
PLAIN = "StatisticsResourceAdaptor LimitingResourceAdaptor PrefetchResourceAdaptor "
POOL = "StatisticsResourceAdaptor PrefetchResourceAdaptor PoolMemoryResource "


@pytest.mark.slow
def test_no_memory_of_the_host_is_used_by_default(on_host: Guarded) -> None:
    done = on_host(FILL.format(""))

    assert done.stdout == "full 32\n0\n"
    assert done.log.peak == 1 << 30
    assert done.log.overflow is None


def test_overflow_is_managed_memory_up_to_what_is_free_and_the_limit(on_host: Guarded) -> None:
    done = on_host(FILL.format("") + SHOW, overflow=128 * MIB)

    assert done.stdout == f"full 36\n0\n{PLAIN}CallbackMemoryResource "
    assert done.log.allocator == "managed memory, for --rmm-overflow"
    assert not done.log.lowered
    assert done.log.overflow == 128 * MIB
    assert done.log.peak == (1024 + 128) * MIB
    (warning,) = done.log.warnings
    assert warning == (
        "RMM handed out up to 128.0 MiB more than the GPU had free: pages move between it and the "
        "host, which is slow"
    )


@pytest.mark.slow
@pytest.mark.parametrize("asked", [{}, {"mode": "pool", "initial": 64 * MIB}, {"mode": "async"}])
def test_a_pool_with_an_overflow_is_a_pool_of_managed_memory(
    on_host: Guarded, asked: dict[str, Any]
) -> None:
    code = FILL.format("pool_allocator=True, initial_pool_size='512MiB'") + SHOW
    done = on_host(code, overflow=128 * MIB, **asked)

    assert done.stdout.endswith(f"{POOL}CallbackMemoryResource ")
    assert done.stdout.startswith(("full 34\n", "full 35\n"))  # it grows in blocks
    assert done.log.allocator.startswith("pool of managed memory of ")
    assert done.log.overflow
    assert done.log.overflow <= 128 * MIB


@pytest.mark.slow
def test_a_pool_that_exceeds_gpu_and_overflow_gets_both(on_host: Guarded) -> None:
    code = "rmm.reinitialize(pool_allocator=True, initial_pool_size='8GiB')" + SHOW
    done = on_host(code, overflow=128 * MIB)

    assert done.stdout == f"{POOL}CallbackMemoryResource ", done.stderr
    assert done.log.allocator == "pool of managed memory of 1.1 GiB, for --rmm-overflow"
    assert [call.asked for call in done.log.calls] == ["pool of 8.0 GiB"]


@pytest.mark.slow
def test_a_maximum_limits_what_an_overflow_adds_to(on_host: Guarded) -> None:
    done = on_host(FILL.format(""), mode="cuda", maximum=64 * MIB, overflow=128 * MIB)

    assert done.stdout == "full 6\n0\n"
    assert done.log.peak == (64 + 128) * MIB
    assert (done.log.overflow, done.log.warnings) == (0, ())  # the GPU has 1 GiB


@pytest.mark.slow
def test_an_overflow_that_the_gpu_cannot_have_is_refused_and_the_notebook_goes_on(
    on_host: Guarded,
) -> None:
    done = on_host(NO_PAGING + FILL.format("") + SHOW, overflow=128 * MIB)

    assert done.stdout == "full 32\n0\nStatisticsResourceAdaptor CallbackMemoryResource "
    assert done.log.allocator == "plain CUDA, as asked"
    (warning,) = done.log.warnings
    assert warning == (
        "--rmm-overflow does nothing: pages of managed memory cannot leave this GPU, as under "
        "WSL and on some vGPUs"
    )
    assert done.log.pages_leave is False


@pytest.mark.slow
def test_the_notebooks_own_sizes_are_checked_before_an_overflow_replaces_them(
    on_host: Guarded,
) -> None:
    code = """
try:
    rmm.reinitialize(pool_allocator=True, maximum_pool_size="lots")
except ValueError as error:
    print(error)
"""
    done = on_host(code, overflow=128 * MIB)

    assert done.stdout == "Could not parse lots as a byte specification\n"
    assert done.log.allocator.startswith("none: ")


@pytest.mark.slow
def test_managed_memory_is_prefetched_and_limited_by_the_gpu_and_the_overflow(
    on_host: Guarded,
) -> None:
    code = FILL.format("pool_allocator=True").replace("100", "60") + SHOW
    done = on_host(code, mode="managed", overflow=128 * MIB)

    assert done.stdout == f"full 36\n0\n{PLAIN}CallbackMemoryResource "
    assert done.log.overflow == 128 * MIB


@pytest.mark.slow
def test_managed_memory_is_not_prefetched_where_pages_cannot_leave(on_host: Guarded) -> None:
    done = on_host(NO_PAGING + "rmm.reinitialize()" + SHOW, mode="managed")

    assert done.stdout == "StatisticsResourceAdaptor CallbackMemoryResource "
    assert done.log.allocator == "managed memory, as --rmm-mode asks"


@pytest.mark.slow
def test_managed_memory_that_the_notebook_asks_for_is_not_changed(on_host: Guarded) -> None:
    done = on_host("rmm.reinitialize(managed_memory=True)" + SHOW)

    assert done.stdout == "StatisticsResourceAdaptor CallbackMemoryResource "
    assert done.log.pages_leave is True


@pytest.mark.slow
def test_a_pool_over_a_resource_with_an_overflow_outlives_its_python_objects(
    on_host: Guarded,
) -> None:
    code = """
rmm.reinitialize()
below = rmm.mr.get_per_device_resource(0)
rmm.mr.set_per_device_resource(0, rmm.mr.PoolMemoryResource(below, initial_pool_size=64 << 20))
del below
rmm.reinitialize()
print("done")
"""
    done = on_host(code, overflow=128 * MIB)

    assert (done.code, done.stdout) == (0, "done\n"), done.stderr
