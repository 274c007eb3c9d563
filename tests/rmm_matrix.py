"""What a notebook and its libraries do with RMM under the guard, one after the other.

Run inside a guarded process that has imported RMM, by the name of a group; see `answers`.
"""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import host_gpu
from host_gpu import gpu, mr, rmm

MIB = 1 << 20

Check = Callable[[], None]
GROUPS: dict[str, dict[str, Check]] = {}


def answers(group: str) -> str:
    """Return, as JSON, for each check of a group "yes", or what came instead."""
    found = {}
    free = mr.available_device_memory
    for name, check in GROUPS[group].items():
        host_gpu.TOTAL = 1 << 30
        mr.available_device_memory = free
        try:
            check()
        except Exception as error:  # noqa: BLE001 - the answer
            found[name] = f"{type(error).__name__}: {str(error)[:200]}"
        else:
            found[name] = "yes"
    return json.dumps(found)


def check(group: str, name: str) -> Callable[[Check], Check]:
    """Add a check to a group."""

    def add(function: Check) -> Check:
        GROUPS.setdefault(group, {})[name] = function
        return function

    return add


def set_up(**arguments: Any) -> Any:
    """Set RMM up as a notebook does, use it, and return its resource."""
    rmm.reinitialize(**arguments)
    resource = mr.get_per_device_resource(0)
    use(resource)
    return resource


def error_of(**arguments: Any) -> str:
    """Return class and text of the error that a notebook gets where it sets RMM up."""
    try:
        rmm.reinitialize(**arguments)
    except Exception as error:  # noqa: BLE001 - RMM's or the guard's
        return f"{type(error).__name__}: {error}"
    return ""


def use(resource: Any) -> None:
    resource.deallocate(resource.allocate(MIB), MIB)


def put(resource: Any) -> None:
    """Make a resource the device's, as libraries do on top of the notebook's, and use it."""
    mr.set_per_device_resource(0, resource)
    use(resource)


def served() -> tuple[str, str, int | None]:
    """Return rung, kind and bytes of what serves, as the guard logged it."""
    lines = Path("guard.jsonl").read_text().splitlines()
    calls = [event for line in lines if (event := json.loads(line))["event"] == "reinitialize"]
    found = calls[-1]["served"]
    return found["rung"], found["kind"], found["bytes"]


@check("respect", "a pool that fits")
def _() -> None:
    assert set_up(pool_allocator=True, initial_pool_size="64MiB").pool_size() == 64 * MIB
    assert served() == ("asked", "pool", 64 * MIB)


@check("respect", "a pool that does not fit: half of what is free")
def _() -> None:
    assert set_up(pool_allocator=True, initial_pool_size=8 << 30).pool_size() == 512 * MIB
    assert served() == ("half", "pool", 512 * MIB)


@check("respect", "a size that is not a multiple of 256: rounded")
def _() -> None:
    set_up(pool_allocator=True, initial_pool_size=64_000_100)
    assert served() == ("rounded", "pool", 64_000_000)


@check("respect", "half is too much: a pool that grows")
def _() -> None:
    host_gpu.TOTAL = 300 * MIB
    pretend_free(1 << 30)
    set_up(pool_allocator=True, initial_pool_size=2 << 30)
    assert served() == ("growing", "pool", 256 * MIB)


@check("respect", "no pool fits: plain CUDA")
def _() -> None:
    host_gpu.TOTAL = 100 * MIB
    pretend_free(1 << 30)
    set_up(pool_allocator=True, initial_pool_size="400MiB")
    assert served() == ("plain", "cuda", None)


@check("respect", "a pool of managed memory")
def _() -> None:
    set_up(pool_allocator=True, managed_memory=True, initial_pool_size="64MiB")
    assert served() == ("asked", "managed pool", 64 * MIB)


@check("respect", "a failed call leaves RMM consistent")
def _() -> None:
    assert "cudaErrorInvalidDevice" in error_of(devices=[1, 7])
    assert host_gpu.current == 0
    use(mr.get_per_device_resource(0))


@check("respect", "a pool is freed before the next is made")
def _() -> None:
    for _again in range(3):
        set_up(pool_allocator=True, initial_pool_size="700MiB")
        assert served() == ("asked", "pool", 700 * MIB)
        assert host_gpu.used == 700 * MIB


@check("respect", "statistics of the notebook's allocations")
def _() -> None:
    resource = set_up(pool_allocator=True, initial_pool_size="64MiB")
    resource.deallocate(resource.allocate(3 * MIB), 3 * MIB)
    counts = resource.allocation_counts
    assert (counts.peak_bytes, counts.total_count, counts.current_bytes) == (3 * MIB, 2, 0)


@check("respect", "RMM fails on each rung: CuPy's own pool")
def _() -> None:
    def broken(**_arguments: Any) -> None:
        raise MemoryError("std::bad_alloc: out_of_memory")

    before = rmm.rmm._initialize, mr._initialize
    rmm.rmm._initialize = mr._initialize = broken
    try:
        rmm.reinitialize(pool_allocator=True)
    finally:
        rmm.rmm._initialize, mr._initialize = before
    assert served()[:2] == ("cupy", "cupy")


@check("on top", "RMM's own statistics")
def _() -> None:
    own: Any = importlib.import_module("rmm.statistics")
    resource = set_up(pool_allocator=True, initial_pool_size="64MiB")
    before = mr.get_current_device_resource
    mr.get_current_device_resource = lambda: mr.get_per_device_resource(0)  # it would ask CUDA
    try:
        own.enable_statistics()
        assert mr.get_per_device_resource(0) is resource
        own.push_statistics()
        use(resource)
        assert own.pop_statistics().peak_bytes == MIB
        with own.statistics(), own.profiler(name="x"):
            use(resource)
    finally:
        mr.get_current_device_resource = before


@check("on top", "cudf.pandas' pool over plain CUDA")
def _() -> None:
    plain = set_up()
    assert isinstance(plain, type(host_gpu.device_memory()))  # it looks for that class
    put(mr.PoolMemoryResource(plain, initial_pool_size=64 * MIB))


@check("on top", "dask's limits and tracking")
def _() -> None:
    put(mr.LimitingResourceAdaptor(set_up(), allocation_limit=64 * MIB))
    put(mr.TrackingResourceAdaptor(set_up()))


@check("on top", "bins, blocks, a callback for failures over a pool")
def _() -> None:
    pool = {"pool_allocator": True, "initial_pool_size": "64MiB"}
    put(mr.BinningMemoryResource(set_up(**pool), 18, 20))
    put(mr.FixedSizeMemoryResource(set_up(**pool), block_size=MIB, blocks_to_preallocate=2))
    put(mr.FailureCallbackResourceAdaptor(set_up(**pool), lambda _: False))


@check("on top", "the counts that dask reads by name")
def _() -> None:
    assert set_up().allocation_counts["current_bytes"] == 0


@check("no gpu", "no GPU: the cause in place of RMM's own error")
def _() -> None:
    error = error_of()
    assert error.startswith("GpuMissing: ")
    assert "cudaErrorNoDevice" in error


@check("pool", "`--rmm-mode pool`: before the notebook's own call, and in its place")
def _() -> None:
    use(mr.get_per_device_resource(0))
    assert served()[:2] == ("asked", "pool")
    set_up()
    assert served() == ("asked", "pool", 64 * MIB)


@check("async", "`--rmm-mode async` without the driver's support: a pool that grows")
def _() -> None:
    set_up()
    assert served() == ("growing", "pool", 256 * MIB)


@check("managed", "`--rmm-mode managed`")
def _() -> None:
    set_up()
    assert served()[:2] == ("asked", "managed")


@check("overflow", "`--rmm-overflow`: up to its limit and not beyond")
def _() -> None:
    assert fill(set_up()) == (1024 + 128) * MIB


@check("overflow", "`--rmm-overflow` under a library's pool, and the next call")
def _() -> None:
    put(mr.PoolMemoryResource(set_up(), initial_pool_size=64 * MIB))
    set_up()


@check(
    "overflow refused", "`--rmm-overflow` where pages cannot leave the GPU: refused, with a warning"
)
def _() -> None:
    gpu.getDeviceAttribute = lambda *_: 0
    assert fill(set_up()) == 1024 * MIB


def fill(resource: Any) -> int:
    """Allocate until no more can be had, free it all, and return how many bytes that was."""
    pointers: list[int] = []
    try:
        while len(pointers) < 100:
            pointers.append(resource.allocate(32 * MIB))
    except MemoryError:
        pass
    for pointer in pointers:
        resource.deallocate(pointer, 32 * MIB)
    return len(pointers) * 32 * MIB


def pretend_free(size: int) -> None:
    """Let CUDA report more as free than it can hand out, as it does of fragmented memory."""
    mr.available_device_memory = lambda: (size, size)
