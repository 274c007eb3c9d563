"""What the guard's statistics adaptor answers, and what it says of resources above it."""

import pytest
from guarded import Guarded

SET_UP = "rmm.reinitialize(pool_allocator=True, initial_pool_size='64MiB')\n"


def test_counts_are_attributes_and_keys(on_host: Guarded) -> None:
    code = """
resource = rmm.mr.get_per_device_resource(0)
pointer = resource.allocate(1 << 20)
counts = resource.allocation_counts
print(counts.current_bytes, counts["current_bytes"], counts["peak_count"])
print(type(counts).__name__, counts == resource.allocation_counts)
resource.deallocate(pointer, 1 << 20)
"""
    done = on_host(SET_UP + code)

    assert done.stdout == "1048576 1048576 1\nStatistics True\n", done.stderr


@pytest.mark.slow
def test_an_adaptor_over_the_guards_resource_does_not_hide_it(on_host: Guarded) -> None:
    # What cudf does when CUDF_SPILL is on.
    code = """
below = rmm.mr.get_per_device_resource(0)
spilling = rmm.mr.FailureCallbackResourceAdaptor(below, lambda _: False)
rmm.mr.set_per_device_resource(0, spilling)
"""
    done = on_host(SET_UP + code)

    assert done.log.allocator == "pool of 64.0 MiB, as asked"
    assert done.log.kind == "pool"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("resource", "kind"),
    [
        ("real(host_gpu.CudaMemoryResource())", "pool"),
        ("real(rmm.mr.PrefetchResourceAdaptor(managed()))", "managed pool"),
        ("managed()", "managed"),
        ("host_gpu.CudaMemoryResource()", "cuda"),
        ("rmm.mr.BinningMemoryResource(host_gpu.device_memory())", None),
    ],
)
def test_the_kind_of_a_librarys_own_resource_is_known(
    on_host: Guarded, resource: str, kind: str | None
) -> None:
    code = f"""
def real(upstream):
    return rmm.mr.PoolMemoryResource(upstream, 0)
rmm.mr.set_per_device_resource(0, {resource})
"""
    done = on_host(f"managed = host_gpu.ManagedMemoryResource\n{code}")

    assert done.log.kind == kind, done.stderr
    assert done.log.libraries == ()
