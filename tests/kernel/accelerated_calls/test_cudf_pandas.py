"""The calls of cudf.pandas are counted as its own profiler lists them, on a stand-in of it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import stand_in_accelerators as stand_in

from stepkit.engine import read_accelerated_calls
from stepkit.kernel.accelerated_calls import AcceleratedCalls, cudf_pandas
from stepkit.kernel.accelerated_calls.call_counts import CallCounts
from stepkit.notebook.cpu_fallback import CpuFallback


@pytest.fixture(params=[True, False], ids=["from 26.02", "before"])
def cudf(request: pytest.FixtureRequest) -> Any:
    return stand_in.cudf(blocks=request.param)


def counted(directory: Path, cudf: Any, cell: Callable[[], object]) -> CpuFallback | None:
    """Return what the calls of ``cell`` come to."""
    counts = CallCounts(str(directory / "calls"))
    cudf_pandas.count(cudf, counts)
    cell()
    counts.cell_ended(3)
    found, warnings = read_accelerated_calls.read(directory / "calls")
    assert not warnings
    return found.get(3)


def test_calls_of_functions_methods_and_classes_count(tmp_path: Path, cudf: Any) -> None:
    concat, merge = cudf.function("concat"), cudf.method("DataFrame.merge")
    apply = cudf.method("DataFrame.apply", error=NotImplementedError("UDF with a string"))

    class DataFrame(cudf._FinalProxy):  # type: ignore[misc]
        pass

    found = counted(tmp_path, cudf, lambda: [concat(1), merge(2), DataFrame(3), apply(4), apply(5)])

    assert found
    assert (found.calls, found.cpu_calls, found.share) == (5, 2, 0.4)
    assert [(f.name, f.calls, f.why) for f in found.functions] == [
        ("DataFrame.apply", 2, "NotImplementedError: UDF with a string")
    ]
    assert 0 < found.cpu_seconds < found.seconds
    assert str(found) == "40 % of calls on the CPU: DataFrame.apply"


def test_a_call_returns_and_raises_what_it_did_before(tmp_path: Path, cudf: Any) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("b")

    both = cudf.function("both", error=ValueError(), body=fail)

    def cell() -> None:
        assert cudf.function("add", error=TypeError("no"))(1, 2) == (1, 2)
        with pytest.raises(KeyError, match="b"):
            both()

    found = counted(tmp_path, cudf, cell)

    assert found
    assert found.calls == 1  # the one that raised gave nothing


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("std::bad_alloc: out_of_memory: CUDA error"),
        MemoryError(),
        RuntimeError("CUDA error at: rmm: cudaErrorMemoryAllocation"),
    ],
    ids=repr,
)
def test_a_call_for_which_gpu_memory_did_not_suffice_says_so(
    tmp_path: Path, cudf: Any, error: Exception
) -> None:
    merge, apply = cudf.method("merge", error=error), cudf.method("apply", error=TypeError("no"))

    found = counted(tmp_path, cudf, lambda: [merge(), apply(), merge()])

    assert found
    assert (found.cpu_calls, found.out_of_memory) == (3, 2)
    assert str(found).endswith("; 2 calls for want of GPU memory")


def test_a_call_within_another_keeps_the_reasons_apart(tmp_path: Path, cudf: Any) -> None:
    inner = cudf.method("Series.map", error=TypeError("a lambda"))
    outer = cudf.method("DataFrame.apply", error=MemoryError("full"), body=lambda *_: inner())

    found = counted(tmp_path, cudf, outer)

    assert found
    assert {f.name: f.why for f in found.functions} == {
        "DataFrame.apply": "MemoryError: full",
        "Series.map": "TypeError: a lambda",
    }
    assert found.out_of_memory == 1


def test_what_the_notebook_did_not_call_does_not_count(tmp_path: Path, cudf: Any) -> None:
    class DataFrame(cudf._FinalProxy):  # type: ignore[misc]
        pass

    shown = cudf.method("NDFrame._repr_latex_", error=AttributeError("_repr_latex_"))
    block = [None] if cudf._fast_slow_function_call.__code__.co_posonlyargcount == 2 else []

    def cell() -> None:
        shown()
        cudf._fast_slow_function_call(getattr, *block, DataFrame, "__name__")
        cudf._fast_slow_function_call(getattr, *block, DataFrame(), "__class__")  # an attribute

    found = counted(tmp_path, cudf, cell)

    assert found
    assert (found.calls, found.cpu_calls) == (1, 0)  # the class alone


def test_an_error_that_holds_memory_is_not_kept(tmp_path: Path, cudf: Any) -> None:
    import gc
    import weakref

    class FullError(MemoryError):
        pass

    kept = []

    def fail(*_: Any) -> None:
        error = FullError("full")
        kept.append(weakref.ref(error))
        raise error

    merge = cudf._FunctionProxy(fail, len)
    counted(tmp_path, cudf, lambda: merge("ab"))
    gc.collect()

    assert kept[0]() is None


def test_the_profiler_of_the_library_still_sees_each_call_once(tmp_path: Path, cudf: Any) -> None:
    seen = []

    def trace(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_name == "_fast_slow_function_call":
            seen.append(frame.f_locals["args"][0].__name__)

    before = sys.gettrace()

    def cell() -> None:
        sys.settrace(trace)
        try:
            cudf.function("concat")(1)
        finally:
            sys.settrace(before)

    counted(tmp_path, cudf, cell)

    assert seen == ["concat"]


def test_a_module_of_another_shape_is_left_as_it_is(tmp_path: Path) -> None:
    cudf = stand_in.cudf()
    del cudf._MethodProxy
    call, path = cudf._fast_slow_function_call, tmp_path / "calls"
    installed: dict[str, Any] = {}
    calls = AcceleratedCalls(str(path))
    calls.begin(lambda hooks, on_error: installed.update(hooks, failed=on_error))
    with pytest.raises(AttributeError) as raised:
        installed["cudf.pandas.fast_slow_proxy"](cudf)
    installed["failed"]("the import of cudf.pandas.fast_slow_proxy", raised.value)
    calls.cell_ended(0)

    assert cudf._fast_slow_function_call is call
    assert json.loads(path.read_text()) == {
        "warning": "the import of cudf.pandas.fast_slow_proxy: AttributeError: "
        "module 'cudf.pandas.fast_slow_proxy' has no attribute '_MethodProxy'"
    }


def test_a_call_that_cannot_be_named_is_made_all_the_same(tmp_path: Path) -> None:
    cudf = stand_in.cudf()
    nameless = cudf.function("nameless", error=TypeError("no"))
    del nameless.__name__

    assert counted(tmp_path, cudf, lambda: nameless(1)) is None
    assert nameless(2) == (2,)


def test_calls_count_once_where_the_module_is_wrapped_twice(tmp_path: Path) -> None:
    cudf = stand_in.cudf()
    cudf_pandas.count(cudf, CallCounts(str(tmp_path / "first")))
    wrapped = cudf._fast_slow_function_call, cudf._slow_function_call

    cudf_pandas.count(cudf, CallCounts(str(tmp_path / "second")))

    assert wrapped == (cudf._fast_slow_function_call, cudf._slow_function_call)
    assert counted(tmp_path, cudf, cudf.function("concat")) is None  # the first one counted it


def test_a_file_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    counts = CallCounts(str(tmp_path / "missing" / "calls"))
    counts.on_gpu(1.0)
    counts.cell_ended(0)

    assert not list(tmp_path.iterdir())
