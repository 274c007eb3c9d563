"""How CUDA's errors are spelled, by CuPy, RMM, RAPIDS' C++, Numba, PyTorch and NVML.

Each pattern names a cause of :mod:`~stepkit.gpu.health.remedies`. The texts of RMM and CuPy were
seen in releases 25.04 to 26.10 of the one and 13.4 to 14.2 of the other. PyTorch shows the texts of
cudaGetErrorString without the name of the error.
"""

from __future__ import annotations

import re
from typing import Final

INSUFFICIENT_DRIVER: Final = "insufficient-driver"  # no driver, or an old one

# cuda.h and driver_types.h: the runtime's cudaError... and the driver's CUDA_ERROR_... share codes.
CODES: Final = {
    2: "out-of-memory",
    3: "initialization",
    34: "stub-library",
    35: INSUFFICIENT_DRIVER,
    36: "driver-too-old",
    46: "busy",
    100: "no-device",
    101: "no-such-device",
    209: "no-kernel-image",
    214: "hardware",
    220: "hardware",
    222: "ptx-unsupported",
    226: "hardware",
    304: "device-files",
    802: "system-not-ready",
    803: "driver-mismatch",
    804: "compat-unsupported",
    **dict.fromkeys(range(805, 811), "mps"),
    999: "unknown",
}

# Classes of errors to examine; in any other class, such a text is the notebook's own.
_CLASSES: Final = re.compile(
    r"(?:\w*(?:CUDA|Cuda|cuda|NVML)\w*|CU[A-Z]+Error|RuntimeError|MemoryError|OutOfMemoryError|AcceleratorError"
    r"|OSError|ImportError|GpuMissing|RMMError|RaftError|XGBoostError"
    r"|XlaRuntimeError|JaxRuntimeError|ResourceExhaustedError|InternalError)\Z"
)

# The order counts: an out-of-memory text often quotes the error that is the true cause.
_SPELLINGS: Final = {
    INSUFFICIENT_DRIVER: ("cudaErrorInsufficientDriver", "driver version is insufficient"),
    "no-device": (
        "cudaErrorNoDevice",
        "CUDA_ERROR_NO_DEVICE",
        "no CUDA-capable device",
        "No CUDA GPUs are available",
    ),
    "no-driver": (
        "Found no NVIDIA driver",
        "CUDA driver library cannot be found",
        r"libcuda\.so[.\d]*: cannot open shared object",
        "Driver Not Loaded",
    ),
    "driver-too-old": (
        "NVIDIA driver on your system is too old",
        "cudaErrorCallRequiresNewerDriver",
        "not supported in the installed CUDA driver",
    ),
    "stub-library": ("cudaErrorStubLibrary", "CUDA_ERROR_STUB_LIBRARY", "driver is a stub"),
    "driver-mismatch": (
        "cudaErrorSystemDriverMismatch",
        "unsupported display driver / cuda driver combination",
        "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
        r"\bError 803\b",
        "Driver/library version mismatch",
        "NVML/RM version mismatch",
    ),
    "compat-unsupported": (
        "cudaErrorCompatNotSupportedOnDevice",
        "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
        r"\bError 804\b",
        "forward compatibility was attempted",
    ),
    "system-not-ready": (
        "cudaErrorSystemNotReady",
        "CUDA_ERROR_SYSTEM_NOT_READY",
        r"\bError 802\b",
        "system not yet initialized",
    ),
    "busy": (
        "cudaErrorDevicesUnavailable",
        "CUDA_ERROR_DEVICE_UNAVAILABLE",
        r"CUDA-capable device(?:s|\(s\))? (?:is/)?are busy",
    ),
    "mps": (
        "cudaErrorMps",
        "CUDA_ERROR_MPS_",
        r"\bMPS (?:client|server)\b",
        "CUDA error: the hardware resources required to support device connections",
    ),
    "hardware": (
        "cudaErrorECCUncorrectable",
        "CUDA_ERROR_ECC_UNCORRECTABLE",
        "cudaErrorNvlinkUncorrectable",
        "CUDA_ERROR_NVLINK_UNCORRECTABLE",
        r"cudaErrorContained\b",
        r"CUDA_ERROR_CONTAINED\b",
        "uncorrectable ECC error",
        "uncorrectable NVLink error",
        "Invalid access of peer GPU memory over nvlink or a hardware error",
        "GPU is lost",
        "GPU requires restart",
    ),
    "no-kernel-image": (
        "cudaErrorNoKernelImageForDevice",
        "CUDA_ERROR_NO_BINARY_FOR_GPU",
        "no kernel image is available for execution",
    ),
    "ptx-unsupported": (
        "cudaErrorUnsupportedPtxVersion",
        "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
        "PTX was compiled with an unsupported toolchain",
    ),
    "no-such-device": (
        r"cudaErrorInvalidDevice\b",
        "CUDA_ERROR_INVALID_DEVICE",
        "invalid device ordinal",
    ),
    "device-files": (
        "cudaErrorOperatingSystem",
        "CUDA_ERROR_OPERATING_SYSTEM",
        "CUDA error: OS call failed",
    ),
    "initialization": (
        "cudaErrorInitializationError",
        "CUDA_ERROR_NOT_INITIALIZED",
        "CUDA driver initialization failed",
        "CUDA error: initialization error",
    ),
    "unknown": ("cudaErrorUnknown", "CUDA_ERROR_UNKNOWN", r"CUDA (?:error: )?unknown error"),
    "no-memory-pools": ("cudaMallocAsync not supported",),
    "own-allocator-full": (
        # XLA's, in JAX and TensorFlow; with the host's memory it says "Out of memory allocating".
        r"(?:RESOURCE_EXHAUSTED|Resource exhausted): Out of memory while trying to allocate",
        r"Failed to allocate request for .* on device ordinal \d",
        # TensorFlow's
        r"OOM when allocating tensor .*device:GPU:\d",
        r"device:GPU:\d+\}\} failed to allocate memory",
        "Dst tensor is not initialized",
    ),
    "out-of-memory": (
        "cudaErrorMemoryAllocation",
        "CUDA_ERROR_OUT_OF_MEMORY",
        "std::bad_alloc: out_of_memory",
        "CUDA out of memory",
        "CUDA error: out of memory",
        r"CU\w+_STATUS_ALLOC_FAILED",
    ),
}
_TEXTS: Final = {name: re.compile("|".join(texts)) for name, texts in _SPELLINGS.items()}
_RMM_HIDES_NO_DEVICE: Final = "'CUDARuntimeError' object has no attribute 'msg'"


def may_be_of_cuda(ename: str) -> bool:
    """Return whether libraries on the GPU raise errors of this class."""
    return bool(_CLASSES.match(ename))


def cause_name(ename: str, evalue: str) -> str | None:
    """Return the name of the cause that an exception's class name and text stand for."""
    if ename == "AttributeError":
        return "no-device" if evalue.strip() == _RMM_HIDES_NO_DEVICE else None
    if not may_be_of_cuda(ename):
        return None
    if ename.startswith("NVML"):  # pynvml's classes share one base: the texts differ
        text = f"{ename} {evalue}"
        if "LibraryNotFound" in text or "Shared Library Not Found" in text:
            return "no-nvml"
        if "Unknown Error" in text or ename == "NVMLError_Unknown":
            return "device-lost"
    if ename == "OutOfMemoryError" and "Out of memory allocating" in evalue:
        return "out-of-memory"  # CuPy's class; its first line
    return next((name for name, texts in _TEXTS.items() if texts.search(evalue)), None)
