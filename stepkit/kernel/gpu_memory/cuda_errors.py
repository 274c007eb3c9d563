"""Find CUDA's error behind an error of RMM or CuPy."""

from __future__ import annotations

import os
import re

from . import cuda_device

# Names of cudaError_t (CUDA's runtime API) that mean that no GPU can be used.
_MISSING = frozenset(
    {
        "cudaErrorInitializationError",
        "cudaErrorStubLibrary",
        "cudaErrorInsufficientDriver",
        "cudaErrorCallRequiresNewerDriver",
        "cudaErrorDevicesUnavailable",
        "cudaErrorNoDevice",
        "cudaErrorOperatingSystem",
        "cudaErrorSystemNotReady",
        "cudaErrorSystemDriverMismatch",
        "cudaErrorCompatNotSupportedOnDevice",
        "cudaErrorUnknown",
    }
)
_CUDA = re.compile(r"(cudaError[A-Za-z]+):?\s*([^\n]*)")
_FULL = "cudaErrorMemoryAllocation"


class GpuMissing(RuntimeError):  # noqa: N818 - the name that a traceback shows
    """There is no GPU that this process can use."""


def cuda_error(error: BaseException | None) -> tuple[str, str]:
    """Return the name and the text of CUDA's own error behind ``error``; empty when there is none.

    RMM up to 26.10, and perhaps later, hides cudaErrorNoDevice behind an AttributeError: to warn of
    it, RMM reads an attribute ``msg`` that the error does not have.
    """
    seen = 0
    while error is not None and seen < 10:  # noqa: PLR2004 - a chain may be a circle
        found = _CUDA.search(str(error))
        if found:
            return found[1], found[2].strip()
        error, seen = error.__cause__ or error.__context__, seen + 1
    return "", ""


def missing(error: BaseException) -> GpuMissing | None:
    """Return the error to show when ``error`` means that no GPU can be used, else None."""
    name, text = cuda_error(error)
    if name not in _MISSING:
        return None
    hint = ""
    if name == "cudaErrorInsufficientDriver":
        version = cuda_device.driver_version()
        if version == 0:
            hint = "; in truth there is no driver (libcuda.so.1): this container got no GPU"
        elif version:
            hint = f"; the driver's CUDA is {version // 1000}.{version % 1000 // 10}"
    elif name == "cudaErrorNoDevice" and os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        hint = "; CUDA_VISIBLE_DEVICES is empty, which hides all GPUs"
    clear = GpuMissing(f"no GPU can be used: {name}: {text}{hint}")
    clear.__cause__ = error
    return clear


def is_full(error: BaseException) -> bool:
    """Return whether memory ran out; RMM raises MemoryError for other CUDA errors, too."""
    return isinstance(error, MemoryError) and cuda_error(error)[0] in {"", _FULL}
