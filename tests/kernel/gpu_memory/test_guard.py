"""When a mode takes memory, beside Dask and UCX; the GPU is simulated in host memory."""

from pathlib import Path
from typing import Any

import pytest
from cuda_driver import fake_cuda
from guarded import HERE, ON_HOST, Guarded, guarded

MIB = 1 << 20

SIMULATED = f"import sys\nsys.path.append({str(HERE)!r})\n{ON_HOST}"
USED = "print(host_gpu.used >> 20)\n"
# Without a GPU, CuPy cannot name its stream.
FIRST_ARRAY = """
import rmm.allocators.cupy as inner
class Stream:
    def __init__(self, obj=None):
        pass
inner.Stream = Stream
import cupy
cupy.cuda.get_current_stream = lambda: None
try:
    inner.rmm_cupy_allocator(8)
except Exception as error:
    print(type(error).__name__)
"""


@pytest.mark.slow
def test_plain_cuda_does_not_initialise_cuda_when_rmm_is_imported(
    tmp_path: Path, python: str
) -> None:
    env = fake_cuda(tmp_path, FAKE_CUDA_CRASH="1")  # cuInit would end the process
    code = "import rmm\nprint(type(rmm.mr.get_per_device_resource(0)).__name__)"
    done = guarded(tmp_path, code, python=python, env=env, mode="cuda", maximum=MIB)

    assert (done.code, done.stdout) == (0, "StatisticsResourceAdaptor\n"), done.stderr
    assert [call.error for call in done.log.calls] == [None]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["cuda", "pool", "managed"])
def test_a_mode_makes_no_cuda_context_when_rmm_is_imported(
    tmp_path: Path, python: str, mode: str
) -> None:
    # What makes one: cudaSetDevice since CUDA 12, and cudaMemGetInfo.
    no_context = "host_gpu.gpu.setDevice = rmm.mr.available_device_memory = None\n"
    sizes: dict[str, Any] = {"initial": 64 * MIB} if mode == "pool" else {}
    code = f"import rmm\n{USED}print(type(rmm.mr.get_per_device_resource(0)).__name__)"
    first = SIMULATED + no_context
    done = guarded(tmp_path, code, python=python, first=first, mode=mode, maximum=MIB, **sizes)

    assert done.stdout == "0\nStatisticsResourceAdaptor\n", done.stderr
    assert [call.error for call in done.log.calls] == [None]


def test_a_pool_is_empty_until_something_is_allocated_and_has_its_size_from_reinitialize_on(
    tmp_path: Path, python: str
) -> None:
    code = f"""
import rmm
{USED}
resource = rmm.mr.get_per_device_resource(0)
resource.deallocate(resource.allocate(3 << 20), 3 << 20)
{USED}
del resource
rmm.reinitialize()
{USED}
"""
    done = guarded(
        tmp_path,
        code,
        python=python,
        first=SIMULATED,
        mode="pool",
        initial=64 * MIB,
        maximum=128 * MIB,
    )

    first, second, third = map(int, done.stdout.split())
    assert first == 0
    assert 3 <= second <= 64
    assert third == 64
    assert [call.served for call in done.log.calls] == ["pool", "pool of 64.0 MiB"]


@pytest.mark.slow
@pytest.mark.parametrize(("before", "used"), [("", 64), ("allocate(MIB)", 1)])
def test_the_first_array_of_cupy_gives_an_unused_pool_its_size(
    tmp_path: Path, python: str, before: str, used: int
) -> None:
    code = f"import rmm\nMIB = {MIB}\nresource = rmm.mr.get_per_device_resource(0)\n"
    code += f"pointer = resource.{before}\n" if before else "del resource\n"
    done = guarded(
        tmp_path,
        f"{code}{FIRST_ARRAY}{USED}",
        python=python,
        first=SIMULATED,
        mode="pool",
        initial=64 * MIB,
    )

    assert int(done.stdout.split()[-1]) == used, done.stderr
    assert len(done.log.calls) == (1 if before else 2)


DASK = "beside.mkdir()\n(beside / 'dask_cuda.py').touch()\nsys.path.append(str(beside))\n"
DASK = f"import pathlib\nbeside = pathlib.Path('beside')\n{DASK}"


@pytest.mark.slow
@pytest.mark.parametrize("imports", ["import rmm, dask_cuda", "import dask_cuda, rmm"])
@pytest.mark.parametrize("mode", ["pool", "managed"])
def test_a_mode_leaves_rmm_to_dask(tmp_path: Path, python: str, imports: str, mode: str) -> None:
    code = f"""
{DASK}
{imports}
print(type(rmm.mr.get_per_device_resource(0)).__name__)
{USED}
rmm.reinitialize(pool_allocator=True, initial_pool_size="16MiB")
{USED}
"""
    done = guarded(tmp_path, code, python=python, first=SIMULATED, mode=mode, overflow=MIB)

    assert done.stdout.split()[1:] == ["0", "16"], done.stderr
    assert not done.stdout.startswith("Statistics")  # the guard's
    assert done.log.allocator == "pool of 16.0 MiB, as asked"
    (warning,) = done.log.warnings
    assert warning.startswith("dask_cuda is imported: the guard leaves RMM as Dask and the noteb")


@pytest.mark.slow
def test_dask_without_a_mode_is_not_worth_a_warning(tmp_path: Path, python: str) -> None:
    done = guarded(tmp_path, f"{DASK}import rmm, dask_cuda", python=python, first=SIMULATED)

    assert done.code == 0
    assert done.log.warnings == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ucp", "ucxx"])
@pytest.mark.parametrize("order", ["before", "after"])
def test_async_beside_ucx_is_warned_of_once(on_host: Guarded, name: str, order: str) -> None:
    set_up = "rmm.mr.CudaAsyncMemoryResource = lambda **_: host_gpu.device_memory()\n"
    imported = DASK.replace("dask_cuda", name) + f"import {name}\n"
    twice = "rmm.reinitialize()\n" * 2
    code = imported + twice if order == "before" else twice + imported
    done = on_host(set_up + code, mode="async")

    (warning,) = [event["text"] for event in done.events if event["event"] == "warning"]
    assert warning == (
        "UCX is imported: it cannot share memory of CUDA's async pool between processes (CUDA "
        "IPC); use --rmm-mode pool"
    )
    assert done.log.allocator.startswith("CUDA's async pool")


@pytest.mark.slow
def test_ucx_beside_a_pool_is_not_warned_of(on_host: Guarded) -> None:
    done = on_host(f"rmm.reinitialize()\n{DASK.replace('dask_cuda', 'ucxx')}import ucxx\n")

    assert done.code == 0
    assert done.log.warnings == ()


@pytest.mark.slow
def test_cupys_own_pool_and_its_limit_are_logged_at_the_end(tmp_path: Path, python: str) -> None:
    code = """
import importlib, cupy
class Pool:
    def total_bytes(self):
        return 3 << 20
    def get_limit(self):
        return 8 << 30
cupy.get_default_memory_pool = Pool
importlib.import_module("stepkit_guard.cuda_device").initialised = lambda: True
"""
    done = guarded(tmp_path, code, python=python)

    assert (done.log.cupy, done.log.cupy_limit) == (3 * MIB, 8 << 30)
    assert done.log.allocator == "CuPy's own pool, limited to 8.0 GiB: nothing imported RMM"
