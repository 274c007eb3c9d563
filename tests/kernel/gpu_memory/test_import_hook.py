"""What the guard wraps, however the notebook gets at it; RMM and CuPy are real."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cuda_driver import fake_cuda
from guarded import ON_HOST, guarded

if TYPE_CHECKING:
    from pathlib import Path

NO_DEVICE = "no GPU can be used: cudaErrorNoDevice: no CUDA-capable device is detected"

TRY = """
def tried(function):
    try:
        function()
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
"""


def test_every_way_to_the_function_is_guarded(tmp_path: Path, python: str) -> None:
    code = """
import importlib, inspect, pickle
import rmm, rmm.rmm
from rmm import reinitialize
tried(reinitialize)
importlib.reload(rmm)
tried(rmm.reinitialize)
importlib.reload(rmm.rmm)
tried(rmm.rmm.reinitialize)
print(pickle.loads(pickle.dumps(rmm.rmm.reinitialize)) is rmm.rmm.reinitialize)
print(list(inspect.signature(reinitialize).parameters)[:2], reinitialize.__module__)
print(len([event for event in sys.meta_path if type(event).__name__ == "Finder"]))
"""
    done = guarded(tmp_path, TRY + code, python=python, env=fake_cuda(tmp_path))

    assert done.stdout.splitlines() == [
        *[f"GpuMissing: {NO_DEVICE}"] * 3,
        "True",
        "['pool_allocator', 'managed_memory'] rmm.rmm",
        "1",
    ]
    assert done.told.allocator == f"none: {NO_DEVICE}"
    assert [call.cuda for call in done.told.calls] == ["cudaErrorNoDevice"] * 3


def test_the_error_leads_to_rmms_own(tmp_path: Path, python: str) -> None:
    code = """
import rmm
try:
    rmm.reinitialize()
except RuntimeError as error:
    print(type(error.__cause__).__name__, error.__cause__)
"""
    done = guarded(tmp_path, code, python=python, env=fake_cuda(tmp_path))

    assert done.stdout == "AttributeError 'CUDARuntimeError' object has no attribute 'msg'\n"


@pytest.mark.slow
def test_rmm_that_was_imported_before_is_guarded_at_once(tmp_path: Path, python: str) -> None:
    code = "from rmm import reinitialize\ntried(reinitialize)"
    done = guarded(
        tmp_path, TRY + code, python=python, first="import rmm\n", env=fake_cuda(tmp_path)
    )

    assert done.stdout == f"GpuMissing: {NO_DEVICE}\n"


@pytest.mark.slow
def test_forked_children_are_guarded(tmp_path: Path, python: str) -> None:
    code = """
import os, rmm
if os.fork() == 0:
    tried(rmm.reinitialize)
    sys.stdout.flush()
    sys.exit()
os.wait()
"""
    done = guarded(tmp_path, TRY + code, python=python, env=fake_cuda(tmp_path))

    assert done.stdout == f"GpuMissing: {NO_DEVICE}\n"
    assert done.events[-1]["pid"] == done.events[0]["pid"]  # the last words are the parent's
    assert done.told.calls[0].pid != done.events[0]["pid"]


@pytest.mark.slow
def test_a_finder_that_asks_all_others_does_no_harm(tmp_path: Path, python: str) -> None:
    code = """
class Asking:
    def find_spec(self, name, path=None, target=None):
        others = [finder for finder in sys.meta_path if finder is not self]
        found = (finder.find_spec(name, path, target) for finder in others)
        return next((spec for spec in found if spec), None)
sys.meta_path.insert(0, Asking())
import rmm
tried(rmm.reinitialize)
"""
    done = guarded(tmp_path, TRY + code, python=python, env=fake_cuda(tmp_path))

    assert done.stdout == f"GpuMissing: {NO_DEVICE}\n"


def test_without_a_driver_it_says_so(tmp_path: Path, python: str) -> None:
    code = "import rmm\ntried(rmm.reinitialize)"
    env = {"LD_LIBRARY_PATH": ""}
    done = guarded(tmp_path, TRY + code, python=python, env=env)

    assert done.stdout == (
        "GpuMissing: no GPU can be used: cudaErrorInsufficientDriver: CUDA driver version is "
        "insufficient for CUDA runtime version; in truth there is no driver (libcuda.so.1): this "
        "container got no GPU\n"
    )


@pytest.mark.slow
def test_an_old_driver_is_told_from_none(tmp_path: Path, python: str) -> None:
    code = "import rmm\ntried(rmm.reinitialize)"
    env = fake_cuda(tmp_path, FAKE_CUDA_INIT="35", FAKE_CUDA_VERSION="11040")
    done = guarded(tmp_path, TRY + code, python=python, env=env)

    assert done.stdout == (
        "GpuMissing: no GPU can be used: cudaErrorInsufficientDriver: CUDA driver version is "
        "insufficient for CUDA runtime version; the driver's CUDA is 11.4\n"
    )


@pytest.mark.slow
def test_hidden_gpus_are_told_from_none(tmp_path: Path, python: str) -> None:
    code = "import rmm\ntried(rmm.reinitialize)"
    done = guarded(tmp_path, TRY + code, python=python, env=fake_cuda(tmp_path), hide=True)

    hint = "CUDA_VISIBLE_DEVICES is empty, which hides all GPUs"
    assert done.stdout == f"GpuMissing: {NO_DEVICE}; {hint}\n"


def test_a_notebook_that_can_do_without_a_gpu_is_warned_once(tmp_path: Path, python: str) -> None:
    code = "import rmm\nrmm.reinitialize()\nrmm.reinitialize(pool_allocator=True)\nprint('on')"
    done = guarded(tmp_path, code, python=python, env=fake_cuda(tmp_path), without_gpu="warn")

    assert done.stdout == "on\n"
    assert done.stderr.count(f"RuntimeWarning: RMM is not set up: {NO_DEVICE}") == 1
    assert "script.py:" in done.stderr  # the notebook's line, not the guard's
    assert done.told.allocator == f"none: {NO_DEVICE}"


def test_a_fault_of_the_guards_own_leaves_the_notebook_alone(tmp_path: Path, python: str) -> None:
    code = """
import importlib
importlib.import_module("stepkit_guard.allocator_ladder").set_up = lambda *_: 1 / 0
rmm.reinitialize(pool_allocator=True, initial_pool_size="64MiB")
print(rmm.mr.get_per_device_resource(0).pool_size())
"""
    done = guarded(tmp_path, ON_HOST + code, python=python)

    assert done.stdout == f"{64 << 20}\n"
    assert done.told.warnings == (
        "the guard failed in rmm.reinitialize: ZeroDivisionError: division by zero",
    )


@pytest.mark.slow
def test_a_report_that_cannot_be_written_leaves_the_notebook_alone(
    tmp_path: Path, python: str
) -> None:
    code = "rmm.reinitialize()\nprint('on')"
    env = {"STEPKIT_GUARD": f'{{"report": "{tmp_path}/no/guard.jsonl"}}'}
    done = guarded(tmp_path, ON_HOST + code, python=python, env=env)

    assert done.stdout == "on\n"
    assert done.stderr == ""
    assert not done.told.active


@pytest.mark.slow
def test_plain_resources_still_look_plain_to_cudf_pandas(tmp_path: Path, python: str) -> None:
    code = """
host_gpu.device_memory = rmm.mr.CudaMemoryResource
for step in (lambda: None, rmm.reinitialize):
    step()
    resource = rmm.mr.get_per_device_resource(0)
    print(isinstance(resource, rmm.mr.CudaMemoryResource), resource.__class__.__name__)
"""
    done = guarded(tmp_path, ON_HOST + code, python=python)

    assert done.stdout == "True CudaMemoryResource\n" * 2


@pytest.mark.slow
def test_a_pipe_in_the_reports_place_does_not_block(tmp_path: Path, python: str) -> None:
    code = "import os\nos.remove('guard.jsonl')\nos.mkfifo('guard.jsonl')\n"
    code += "rmm.reinitialize()\nprint('on')\nos.remove('guard.jsonl')"
    done = guarded(tmp_path, ON_HOST + code, python=python)

    assert done.stdout == "on\n"


@pytest.mark.slow
def test_a_mode_sets_up_an_rmm_that_is_imported_again_no_second_time(
    tmp_path: Path, python: str
) -> None:
    code = "import importlib, rmm, rmm.rmm\nimportlib.reload(rmm.rmm)"
    done = guarded(tmp_path, code, python=python, mode="pool", env=fake_cuda(tmp_path))

    assert [call.arguments for call in done.told.calls] == [""]
    assert [event["event"] for event in done.events].count("imported") == 2


CUPY = """
import cupy
from rmm.allocators import cupy as inner
class Pool:
    def malloc(self, size):
        return f"{size} bytes of CuPy's"
cupy.get_default_memory_pool = Pool
inner.rmm_cupy_allocator.__wrapped__  # it is guarded
import rmm.pylibrmm.stream
def failing(**_):
    raise ERROR
inner.Stream = failing
"""


@pytest.mark.slow
def test_cupy_serves_its_arrays_where_only_rmm_is_broken(tmp_path: Path, python: str) -> None:
    code = CUPY.replace("ERROR", "RuntimeError('invalid resource')")
    code += "print(inner.rmm_cupy_allocator(8), inner.rmm_cupy_allocator(16))"
    done = guarded(tmp_path, code, python=python, env=fake_cuda(tmp_path))

    # CuPy asks for its stream first, and without a GPU that fails before RMM does.
    assert done.stdout == "8 bytes of CuPy's 16 bytes of CuPy's\n", done.stderr
    [warning] = done.told.warnings
    assert warning.startswith("CuPy's own pool serves its arrays, as RMM failed: ")


@pytest.mark.slow
def test_cupy_is_no_way_round_a_full_gpu(tmp_path: Path, python: str) -> None:
    code = "import cupy\ncupy.cuda.get_current_stream = lambda: None\n" + CUPY
    code = TRY + code.replace("ERROR", "MemoryError('full')")
    code += "tried(lambda: inner.rmm_cupy_allocator(8))"
    done = guarded(tmp_path, code, python=python, env=fake_cuda(tmp_path))

    assert done.stdout == "MemoryError: full\n", done.stderr
    assert done.told.warnings == ()


@pytest.mark.slow
def test_cupys_own_error_is_shown_where_it_has_no_gpu_either(tmp_path: Path, python: str) -> None:
    code = "import cupy\nfrom rmm.allocators.cupy import rmm_cupy_allocator\n"
    code += "tried(lambda: rmm_cupy_allocator(8))"
    done = guarded(tmp_path, TRY + code, python=python, env=fake_cuda(tmp_path))

    assert done.stdout == (
        "CUDARuntimeError: cudaErrorNoDevice: no CUDA-capable device is detected\n"
    )


@pytest.mark.slow
def test_a_notebook_without_rmm_pays_for_none(tmp_path: Path, python: str) -> None:
    code = "active.cell_ended()\nprint(sorted({'rmm', 'cupy', 'ctypes'} & {*sys.modules}))"
    done = guarded(tmp_path, code, python=python, mode="pool")

    assert done.stdout == "[]\n"
    assert not done.told.rmm
    assert done.told.allocator == "not RMM: nothing imported it"
