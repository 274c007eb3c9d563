"""Count the calls of cudf.pandas by wrapping the function through which all of them go.

``_fast_slow_function_call`` tries cuDF and then pandas, and returns which of them served; it calls
``_slow_function_call`` between the two, while the error of cuDF is handled. Both are as they are
here from cuDF 25.04 to 26.10. Nothing public tells the same: CUDF_PANDAS_FAIL_ON_FALLBACK changes
what a notebook does, and the profiler costs too much.
"""
# ruff: noqa: SLF001 - see above

from __future__ import annotations

import functools
import re
import sys
import threading
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any

from .call_counts import describe, lacks_memory

if TYPE_CHECKING:
    from .call_counts import CallCounts

_OURS = "_stepkit_counted"
_DISPLAY = re.compile(r"(^|\.)_(repr|ipython)_\w*$")  # what IPython looks for to show a value


def count(module: Any, counts: CallCounts) -> None:
    """Add the calls that go through ``module``, cudf.pandas.fast_slow_proxy, to ``counts``.

    A call is what cudf.pandas' own profiler lists: of a function, a method or a class, but not what
    IPython calls to show a value, nor the look-up of an attribute of a class. Raises what reading
    an unknown module raises: nothing of it is then changed.
    """
    call, falling_back = module._fast_slow_function_call, module._slow_function_call
    if hasattr(call, _OURS):
        return
    functions = module._FunctionProxy, module._MethodProxy
    classes = module._FinalProxy, module._IntermediateProxy
    place = call.__code__.co_posonlyargcount  # what is called comes after these arguments
    said = threading.local()

    @functools.wraps(call)
    def counted(*arguments: Any, **named: Any) -> Any:
        before, said.error = getattr(said, "error", None), None  # a call may contain another
        began = perf_counter()
        try:
            found = call(*arguments, **named)
            seconds = perf_counter() - began
            with suppress(Exception):  # it must not stop the notebook
                called = arguments[place]
                kind = type(called)
                is_class = issubclass(kind, type) and issubclass(called, classes)
                if issubclass(kind, functions) or (is_class and arguments[0] is not getattr):
                    if found[1]:
                        counts.on_gpu(seconds)
                    elif not _DISPLAY.search(name := _name(called, module)):
                        why, memory = said.error or ("", False)
                        counts.on_cpu(name, seconds, why, memory=memory)
            return found
        finally:
            said.error = before

    @functools.wraps(falling_back)
    def noted() -> Any:
        with suppress(Exception):
            error = sys.exc_info()[1]  # not kept: its traceback holds memory of the GPU
            why = describe(error) if error else ""
            said.error = why, lacks_memory(error, why)
        return falling_back()

    setattr(counted, _OURS, True)
    module._fast_slow_function_call, module._slow_function_call = counted, noted


def _name(called: Any, module: Any) -> str:
    """Name it as cudf.pandas' profiler does."""
    if issubclass(type(called), module._MethodProxy):
        return str(called._fsproxy_slow.__qualname__)  # the slow half exists: it was just called
    return str(called.__name__)
