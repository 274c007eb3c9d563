"""The calls that are counted are those that cudf.pandas' and cuml.accel's own profilers list.

Without a GPU, cudf.pandas runs everything on the CPU. Its environment takes 5 GB and a minute, so
that it belongs to the long checks. Of cuML there is its profiler alone: the rest needs a GPU.
"""

import ast
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import locked_wheels
import pytest
from kernels import Install
from runs import execute, statuses, text_of

from stepkit.engine import read_accelerated_calls
from stepkit.kernel.accelerated_calls import cuml_accel
from stepkit.kernel.accelerated_calls.call_counts import CallCounts

LOCKS = Path(__file__).with_name("wheels")

WORK = """\
from cudf.pandas.profiler import Profiler
def work():
    table = pd.DataFrame({"a": range(100), "b": ["x", "y"] * 50})
    table["c"] = table["a"].map(lambda value: value + 1)
    table.groupby("b")["a"].sum()
    table.groupby("b").apply(lambda group: group["a"].sum())
    table.apply(lambda row: row["a"], axis=1)
    pd.concat([table, table]).merge(table, on="a")
    return table.shape, table.values, len(table), table["a"].mean()
_ = work()
"""
# The profiler calls the look-up of an attribute of a class a call of the class, on the GPU.
PROFILED = """\
with Profiler() as profiler:
    work()
print({name: len(found["cpu"]) for name, found in profiler.per_function_stats.items()})
"""
HALVES = """\
from cudf.pandas.fast_slow_proxy import _FunctionProxy
def full(number): raise MemoryError("std::bad_alloc: out_of_memory: CUDA error")
def twice(number): return 2 * number
print(_FunctionProxy(full, twice)(2), _FunctionProxy(twice, twice)(3))
"""


@pytest.mark.long
@pytest.mark.parametrize(
    "load", ["%load_ext cudf.pandas", "import cudf.pandas\ncudf.pandas.install()"]
)
@pytest.mark.parametrize("lock", sorted(LOCKS.glob("cudf-*.txt")), ids=lambda lock: lock.stem)
def test_calls_of_cudf_pandas_are_those_that_its_profiler_lists(
    lock: Path, load: str, tmp_path: Path, install_kernel: Install
) -> None:
    python = locked_wheels.environment(lock) / "bin/python"
    install_kernel("cudf", str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}")
    hidden = {"CUDA_VISIBLE_DEVICES": "", "RAPIDS_NO_INITIALIZE": "1"}
    quiet = "import warnings\nwarnings.simplefilter('ignore')\n"

    outcome = execute(
        tmp_path, f"{quiet}{load}\nimport pandas as pd", WORK, PROFILED, HALVES,
        kernel="cudf", env=hidden,
    )  # fmt: skip

    assert statuses(outcome) == ["ok"] * 4
    _, work, profiled, halves = (cell.cpu_fallback for cell in outcome.execution.cells)
    listed = ast.literal_eval(text_of(outcome.notebook.cells[2]))
    assert work
    assert profiled
    assert halves
    assert profiled.calls == profiled.cpu_calls == work.cpu_calls == sum(listed.values()) > 12
    assert all(listed[function.name] == function.calls for function in profiled.functions)
    assert listed["DataFrame.apply"] == listed["Series.map"] == 1
    assert any("CUDARuntimeError" in function.why for function in profiled.functions)
    assert text_of(outcome.notebook.cells[3]) == "4 6\n"
    assert (halves.calls, halves.cpu_calls, halves.out_of_memory) == (2, 1, 1)
    assert [function.name for function in halves.functions] == ["twice"]


@pytest.mark.slow
@pytest.mark.parametrize("lock", sorted(LOCKS.glob("cuml-*.txt")), ids=lambda lock: lock.stem)
def test_calls_of_cuml_accel_are_those_that_its_profiler_lists(
    lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv = locked_wheels.environment(lock)
    (file,) = venv.glob("lib/python*/site-packages/cuml/accel/profilers.py")
    interop: Any = types.ModuleType("cuml.internals.interop")
    interop.UnsupportedOnGPU = type("UnsupportedOnGPU", (ValueError,), {})
    for name in ("cuml", "cuml.internals"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "cuml.internals.interop", interop)
    spec: Any = importlib.util.spec_from_file_location("cuml_profilers", file)
    profilers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(profilers)

    counts = CallCounts(str(tmp_path / "calls"))
    add_calls = cuml_accel.count(profilers, counts)
    with profilers.profile(quiet=True) as own:
        with profilers.track_gpu_call("Ridge.fit"):
            pass
        with (
            pytest.raises(interop.UnsupportedOnGPU),
            profilers.track_gpu_call("Ridge.predict"),
        ):
            raise interop.UnsupportedOnGPU("sparse input")
        with profilers.track_cpu_call("Ridge.predict", reason="sparse input"):
            pass
    add_calls()
    counts.cell_ended(0)

    found = read_accelerated_calls.read(tmp_path / "calls")[0][0]
    (function,) = found.functions
    assert (found.calls, found.cpu_calls) == (2, 1)
    assert (function.name, function.calls, function.why) == ("Ridge.predict", 1, "sparse input")
    assert own.method_calls["Ridge.predict"].cpu_calls == 1
