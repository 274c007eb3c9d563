"""Packages with the interfaces of cudf.pandas and cuml.accel that stepkit counts calls through."""

import types
from pathlib import Path
from typing import Any

# What lies between the two halves of a call: as in cuDF 25.04 to 26.10.
CUDF = '''
"""A function or a class of two halves: the first is tried, and the second serves if it raises."""
import types


def _fast_function_call(): pass
def _slow_function_call(): pass


class _FunctionProxy:
    def __init__(self, fast, slow):
        self._fsproxy_fast, self._fsproxy_slow = fast, slow
        self.__name__ = slow.__name__

    def __call__(self, *args, **kwargs):
        return _fast_slow_function_call(_call, BLOCK self, args, kwargs)[0]


class _MethodProxy(_FunctionProxy):
    __class__ = types.FunctionType


class _Meta(type):
    pass


class _FinalProxy(metaclass=_Meta):
    def __init__(self, *args):
        _fast_slow_function_call(lambda cls, args: cls.build(*args), BLOCK type(self), args)

    @classmethod
    def build(cls, *args): pass


class _IntermediateProxy(metaclass=_Meta):
    pass


def _call(function, args, kwargs):
    return function(*args, **kwargs)


def _fast_slow_function_call(func, PARAMETER /, *args, **kwargs):
    """Return the result, and whether the first half gave it."""
    fast = False
    try:
        first = [getattr(args[0], "_fsproxy_fast", args[0]), *args[1:]]
        result = func(*first, **kwargs)
        fast = True
        _fast_function_call()
    except Exception:
        second = [getattr(args[0], "_fsproxy_slow", args[0]), *args[1:]]
        _slow_function_call()
        result = func(*second, **kwargs)
    return result, fast


def function(name, *, error=None, kind=_FunctionProxy, body=lambda *args: args):
    """Return a function whose first half raises ``error``, if that is not None."""
    def fast(*args, **kwargs):
        if error is not None:
            raise error
        return body(*args)

    def slow(*args, **kwargs):
        return body(*args)

    slow.__name__ = slow.__qualname__ = name
    return kind(fast, slow)


def method(name, **options):
    return function(name, kind=_MethodProxy, **options)
'''

CUML = '''
"""Profiles whoever asks for it, after each call."""
from contextlib import contextmanager

_CALLBACKS = []


class MethodStats:
    def __init__(self):
        self.gpu_calls = self.cpu_calls = 0
        self.gpu_time = self.cpu_time = 0.0
        self.fallback_reasons = set()


class ProfileResults:
    def __init__(self):
        self.method_calls = {}


@contextmanager
def profile(quiet=False):
    results = ProfileResults()
    _CALLBACKS.append(results)
    try:
        yield results
    finally:
        _CALLBACKS.remove(results)
        if not quiet:
            print("a report")


def gpu(name, seconds):
    for results in _CALLBACKS:
        found = results.method_calls.setdefault(name, MethodStats())
        found.gpu_calls += 1
        found.gpu_time += seconds


def cpu(name, seconds, reason=None):
    for results in _CALLBACKS:
        found = results.method_calls.setdefault(name, MethodStats())
        found.cpu_calls += 1
        found.cpu_time += seconds
        if reason is not None:
            found.fallback_reasons.add(reason)
'''


def cudf_source(*, blocks: bool = True) -> str:
    """Return the module; ``blocks`` says whether calls have a second argument, as from 26.02 on."""
    return CUDF.replace("BLOCK", "None," if blocks else "").replace(
        "PARAMETER", "transfer_block=None," if blocks else ""
    )


def cudf(*, blocks: bool = True) -> Any:
    """Return the module that stands in for cudf.pandas.fast_slow_proxy."""
    return _executed("cudf.pandas.fast_slow_proxy", cudf_source(blocks=blocks))


def cuml() -> Any:
    """Return the module that stands in for cuml.accel.profilers."""
    return _executed("cuml.accel.profilers", CUML)


def write(directory: Path) -> Path:
    """Write both packages into ``directory``, and return it: a notebook puts it on its path."""
    for package, module, source in (
        ("cudf/pandas", "fast_slow_proxy", cudf_source()),
        ("cuml/accel", "profilers", CUML),
    ):
        place = directory / package
        place.mkdir(parents=True)
        (place.parent / "__init__.py").write_text("")
        (place / "__init__.py").write_text(f"from . import {module}\n")
        (place / f"{module}.py").write_text(source)
    return directory


def _executed(name: str, source: str) -> Any:
    module = types.ModuleType(name)
    exec(source, vars(module))
    return module
