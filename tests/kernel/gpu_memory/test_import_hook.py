"""What the guard wraps, however the notebook gets at it; RMM and CuPy are real."""

from pathlib import Path

import pytest
from cuda_driver import fake_cuda
from guarded import Guarded, guarded

NO_DEVICE = "no GPU can be used: cudaErrorNoDevice: no CUDA-capable device is detected"

TRY = """
def attempt(function):
    try:
        function()
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
"""


def test_every_import_of_the_function_is_guarded(without_gpu: Guarded) -> None:
    code = """
import importlib, inspect, pickle
import rmm, rmm.rmm
from rmm import reinitialize
attempt(reinitialize)
importlib.reload(rmm)
attempt(rmm.reinitialize)
importlib.reload(rmm.rmm)
attempt(rmm.rmm.reinitialize)
print(pickle.loads(pickle.dumps(rmm.rmm.reinitialize)) is rmm.rmm.reinitialize)
print(list(inspect.signature(reinitialize).parameters)[:2], reinitialize.__module__)
print(len([event for event in sys.meta_path if type(event).__name__ == "Finder"]))
"""
    done = without_gpu(TRY + code)

    assert done.stdout.splitlines() == [
        *[f"GpuMissing: {NO_DEVICE}"] * 3,
        "True",
        "['pool_allocator', 'managed_memory'] rmm.rmm",
        "1",
    ]
    assert done.log.allocator == f"none: {NO_DEVICE}"
    assert [call.cuda for call in done.log.calls] == ["cudaErrorNoDevice"] * 3


def test_the_error_is_chained_to_that_of_rmm(without_gpu: Guarded) -> None:
    code = """
import rmm
try:
    rmm.reinitialize()
except RuntimeError as error:
    print(type(error.__cause__).__name__, error.__cause__)
"""
    done = without_gpu(code)

    assert done.stdout == "AttributeError 'CUDARuntimeError' object has no attribute 'msg'\n"


@pytest.mark.slow
def test_an_rmm_that_is_already_imported_is_guarded_at_once(without_gpu: Guarded) -> None:
    code = "from rmm import reinitialize\nattempt(reinitialize)"
    done = without_gpu(TRY + code, first="import rmm\n")

    assert done.stdout == f"GpuMissing: {NO_DEVICE}\n"


@pytest.mark.slow
def test_forked_children_are_guarded(without_gpu: Guarded) -> None:
    code = """
import os, rmm
if os.fork() == 0:
    attempt(rmm.reinitialize)
    sys.stdout.flush()
    sys.exit()
os.wait()
"""
    done = without_gpu(TRY + code)

    assert done.stdout == f"GpuMissing: {NO_DEVICE}\n"
    assert done.events[-1]["pid"] == done.events[0]["pid"]  # the parent wrote the last line
    assert done.log.calls[0].pid != done.events[0]["pid"]


@pytest.mark.slow
def test_a_finder_that_calls_all_others_does_no_harm(without_gpu: Guarded) -> None:
    code = """
class Asking:
    def find_spec(self, name, path=None, target=None):
        others = [finder for finder in sys.meta_path if finder is not self]
        found = (finder.find_spec(name, path, target) for finder in others)
        return next((spec for spec in found if spec), None)
sys.meta_path.insert(0, Asking())
import rmm
attempt(rmm.reinitialize)
"""
    done = without_gpu(TRY + code)

    assert done.stdout == f"GpuMissing: {NO_DEVICE}\n"


def test_a_missing_driver_is_named_in_the_error(tmp_path: Path, python: str) -> None:
    code = "import rmm\nattempt(rmm.reinitialize)"
    env = {"LD_LIBRARY_PATH": ""}
    done = guarded(tmp_path, TRY + code, python=python, env=env)

    assert done.stdout == (
        "GpuMissing: no GPU can be used: cudaErrorInsufficientDriver: CUDA driver version is "
        "insufficient for CUDA runtime version; in truth there is no driver (libcuda.so.1): this "
        "container got no GPU\n"
    )


@pytest.mark.slow
def test_an_old_driver_is_distinguished_from_a_missing_one(tmp_path: Path, python: str) -> None:
    code = "import rmm\nattempt(rmm.reinitialize)"
    env = fake_cuda(tmp_path, FAKE_CUDA_INIT="35", FAKE_CUDA_VERSION="11040")
    done = guarded(tmp_path, TRY + code, python=python, env=env)

    assert done.stdout == (
        "GpuMissing: no GPU can be used: cudaErrorInsufficientDriver: CUDA driver version is "
        "insufficient for CUDA runtime version; the driver's CUDA is 11.4\n"
    )


@pytest.mark.slow
def test_hidden_gpus_are_distinguished_from_missing_ones(without_gpu: Guarded) -> None:
    code = "import rmm\nattempt(rmm.reinitialize)"
    done = without_gpu(TRY + code, hide=True)

    hint = "CUDA_VISIBLE_DEVICES is empty, which hides all GPUs"
    assert done.stdout == f"GpuMissing: {NO_DEVICE}; {hint}\n"


def test_a_notebook_that_accepts_a_missing_gpu_is_warned_once(without_gpu: Guarded) -> None:
    code = "import rmm\nrmm.reinitialize()\nrmm.reinitialize(pool_allocator=True)\nprint('on')"
    done = without_gpu(code, without_gpu="warn")

    assert done.stdout == "on\n"
    assert done.stderr.count(f"RuntimeWarning: RMM is not set up: {NO_DEVICE}") == 1
    assert "script.py:" in done.stderr  # the notebook's line, not the guard's
    assert done.log.allocator == f"none: {NO_DEVICE}"


def test_an_error_of_the_guard_does_not_affect_the_notebook(on_host: Guarded) -> None:
    code = """
import importlib
importlib.import_module("stepkit_guard.allocator_ladder").set_up = lambda *_: 1 / 0
rmm.reinitialize(pool_allocator=True, initial_pool_size="64MiB")
print(rmm.mr.get_per_device_resource(0).pool_size())
"""
    done = on_host(code)

    assert done.stdout == f"{64 << 20}\n"
    (warning,) = done.log.warnings
    assert warning == "the guard failed in rmm.reinitialize: ZeroDivisionError: division by zero"


@pytest.mark.slow
def test_a_log_that_cannot_be_written_does_not_affect_the_notebook(
    tmp_path: Path, on_host: Guarded
) -> None:
    code = "rmm.reinitialize()\nprint('on')"
    env = {"STEPKIT_GUARD": f'{{"report": "{tmp_path}/no/guard.jsonl"}}'}
    done = on_host(code, env=env)

    assert done.stdout == "on\n"
    assert done.stderr == ""
    assert not done.log.active


@pytest.mark.slow
def test_counted_resources_look_like_the_original_to_cudf_pandas(on_host: Guarded) -> None:
    code = """
rmm.mr.CudaMemoryResource = host_gpu.device_memory = host_gpu.CudaMemoryResource
for step in (lambda: None, rmm.reinitialize):
    step()
    resource = rmm.mr.get_per_device_resource(0)
    print(isinstance(resource, rmm.mr.CudaMemoryResource), resource.__class__.__name__)
"""
    done = on_host(code)

    assert done.stdout == "True CudaMemoryResource\n" * 2


@pytest.mark.slow
def test_a_named_pipe_in_place_of_the_log_does_not_block(on_host: Guarded) -> None:
    code = "import os\nos.remove('guard.jsonl')\nos.mkfifo('guard.jsonl')\n"
    code += "rmm.reinitialize()\nprint('on')\nos.remove('guard.jsonl')"
    done = on_host(code)

    assert done.stdout == "on\n"


@pytest.mark.slow
def test_a_mode_sets_rmm_up_only_once_if_it_is_imported_again(without_gpu: Guarded) -> None:
    code = "import importlib, rmm, rmm.rmm\nimportlib.reload(rmm.rmm)"
    done = without_gpu(code, mode="pool")

    assert [call.arguments for call in done.log.calls] == [""]
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
def test_cupy_serves_its_arrays_where_only_rmm_is_broken(without_gpu: Guarded) -> None:
    code = CUPY.replace("ERROR", "RuntimeError('invalid resource')")
    code += "print(inner.rmm_cupy_allocator(8), inner.rmm_cupy_allocator(16))"
    done = without_gpu(code)

    # CuPy asks for its stream first, and without a GPU that fails before RMM does.
    assert done.stdout == "8 bytes of CuPy's 16 bytes of CuPy's\n", done.stderr
    [warning] = done.log.warnings
    assert warning.startswith("CuPy's own pool serves its arrays, as RMM failed: ")


@pytest.mark.slow
def test_cupy_does_not_serve_when_the_gpu_is_full(without_gpu: Guarded) -> None:
    code = "import cupy\ncupy.cuda.get_current_stream = lambda: None\n" + CUPY
    code = TRY + code.replace("ERROR", "MemoryError('full')")
    code += "attempt(lambda: inner.rmm_cupy_allocator(8))"
    done = without_gpu(code)

    assert done.stdout == "MemoryError: full\n", done.stderr
    assert done.log.warnings == ()


@pytest.mark.slow
def test_cupys_own_error_is_shown_where_it_has_no_gpu_either(without_gpu: Guarded) -> None:
    code = "import cupy\nfrom rmm.allocators.cupy import rmm_cupy_allocator\n"
    code += "attempt(lambda: rmm_cupy_allocator(8))"
    done = without_gpu(TRY + code)

    no_device = "cudaErrorNoDevice: no CUDA-capable device is detected"
    assert done.stdout == f"CUDARuntimeError: {no_device}\n"


@pytest.mark.slow
def test_a_notebook_without_rmm_does_not_import_it(tmp_path: Path, python: str) -> None:
    code = "active.cell_ended()\nprint(sorted({'rmm', 'cupy', 'ctypes'} & {*sys.modules}))"
    done = guarded(tmp_path, code, python=python, mode="pool")

    assert done.stdout == "[]\n"
    assert not done.log.rmm
    assert done.log.allocator == "not RMM: nothing imported it"
