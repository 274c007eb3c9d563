"""What one call gave, as a worker tells it: a value, or the error it ended with."""

from __future__ import annotations

import importlib
import statistics
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MIB: Final = 1 << 20
GIB: Final = 1 << 30

_LONGEST: Final = 400  # characters of an error: RMM's quote paths of its sources


def library(name: str) -> Any:
    """Import ``cupy``, ``rmm``, ``pynvml``: a machine may lack each, and has any version of it."""
    return importlib.import_module(name)


def attempted(call: Callable[[], Any]) -> dict[str, Any]:
    """Return ``ok``, ``seconds``, and ``value`` or ``error``: every failure is a finding."""
    began = time.perf_counter()
    try:
        found = {"ok": True, "value": call()}
    except Exception as error:  # noqa: BLE001 - the error is what was asked for
        found = {"ok": False, "error": spelled(error)}
        if hidden := error.__cause__ or error.__context__:
            found["hidden"] = spelled(hidden)
    return {**found, "seconds": round(time.perf_counter() - began, 4)}


def spelled(error: BaseException) -> str:
    """Return an error's class with its module, and its text."""
    return f"{type(error).__module__}.{type(error).__name__}: {str(error)[:_LONGEST]}"


def timed(call: Callable[[], Any], times: int) -> float:
    """Return the median seconds of ``times`` calls after one that is not counted."""
    call()  # compiles kernels, and lets pools grow
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)
