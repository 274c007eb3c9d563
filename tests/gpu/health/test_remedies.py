import json
from pathlib import Path

import commands
import pytest
from cuda_driver import fake_cuda
from cupy_backends.cuda.api.runtime import CUDARuntimeError  # type: ignore[import-untyped]

from stepkit.errors import ConfigurationError, Reason, ToolError, UserCodeError
from stepkit.gpu.health import error_patterns, remedies
from stepkit.kernel.gpu_memory import cuda_errors

# What a notebook may do first: each prints the class and the text of its error, as a kernel does.
CALLS = """
import contextlib, json, sys
import cupy, rmm
calls = {
    "reinitialize": lambda: rmm.reinitialize(pool_allocator=False),
    "free memory": lambda: rmm.mr.available_device_memory(),
    "pool": lambda: rmm.mr.PoolMemoryResource(rmm.mr.CudaMemoryResource(), 2**20),
    "array": lambda: cupy.zeros(3),
    "count": lambda: cupy.cuda.runtime.getDeviceCount(),
}
for name, call in calls.items():
    try:
        call()
    except Exception as error:
        print(json.dumps([name, type(error).__name__, str(error)]))
"""
FIVE = {"reinitialize", "free memory", "pool", "array", "count"}

CODES = [
    ("3", remedies.NOT_INITIALIZED),
    ("34", remedies.STUB_LIBRARY),
    ("35", remedies.DRIVER_TOO_OLD),
    ("46", remedies.BUSY),
    ("100", remedies.NO_DEVICE),
    ("304", remedies.DEVICE_FILES),
    ("802", remedies.NOT_READY),
    ("803", remedies.DRIVER_MISMATCH),
    ("804", remedies.COMPAT_UNSUPPORTED),
    ("999", remedies.UNKNOWN),
]


def errors(env: dict[str, str] | None) -> dict[str, tuple[str, str]]:
    pytest.importorskip("rmm", reason="RMM is not installed (extra cuda12 or cuda13)")
    pytest.importorskip("cupy", reason="CuPy is not installed (extra cuda12 or cuda13)")
    done = commands.python("-W", "ignore", "-c", CALLS, env=env)
    return {name: (ename, text) for name, ename, text in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        pytest.param(code, cause, marks=[] if code in {"46", "100"} else [pytest.mark.slow])
        for code, cause in CODES
    ],
)
def test_every_error_of_rmm_and_cupy_leads_to_the_drivers_error(
    tmp_path: Path, code: str, cause: remedies.Cause
) -> None:
    raised = errors(fake_cuda(tmp_path, FAKE_CUDA_INIT=code))

    assert raised.keys() == FIVE
    for ename, text in raised.values():
        assert remedies.find(ename, text, driver_version=13000) is cause, (ename, text)


def test_the_attribute_error_of_rmm_means_that_no_device_was_found(tmp_path: Path) -> None:
    ename, text = errors(fake_cuda(tmp_path, FAKE_CUDA_INIT="100"))["reinitialize"]

    assert (ename, text) == ("AttributeError", "'CUDARuntimeError' object has no attribute 'msg'")
    cause = remedies.find(ename, text)
    assert cause is remedies.NO_DEVICE
    assert cause.error is ConfigurationError
    assert cause.reason is Reason.GPU_MISSING
    assert "nvidia.com/gpu: 1" in cause.remedy


def test_insufficient_driver_means_a_missing_driver_where_there_is_none(tmp_path: Path) -> None:
    without = fake_cuda(tmp_path)
    (tmp_path / "driver/libcuda.so.1").write_text("no library")
    raised = errors(without)

    for name, (ename, text) in raised.items():
        assert "cudaErrorInsufficientDriver" in text, name
        assert remedies.find(ename, text, driver_version=0) is remedies.NO_DRIVER
        assert remedies.find(ename, text) is remedies.NO_DRIVER_OR_OLD


@pytest.mark.slow
def test_an_old_driver_is_recognised_by_its_version(tmp_path: Path) -> None:
    raised = errors(fake_cuda(tmp_path, FAKE_CUDA_INIT="0", FAKE_CUDA_VERSION="11040"))

    for ename, text in raised.values():
        assert remedies.find(ename, text, driver_version=11040) is remedies.DRIVER_TOO_OLD


@pytest.mark.parametrize("name", sorted(cuda_errors._MISSING))
def test_every_error_that_the_guard_takes_for_no_gpu_has_a_cause(name: str) -> None:
    assert remedies.find("GpuMissing", f"no GPU can be used: {name}: ...") is not None


BAD_ALLOC = "std::bad_alloc: out_of_memory:"
EXHAUSTED = "RESOURCE_EXHAUSTED:"
TENSOR = "OOM when allocating tensor with shape[40000,40000] and type float on /job:localhost"
ADD = "function_node __wrapped__AddV2_device_/job:localhost/replica:0/task:0/device:"
AT_INIT = "Error at driver init:"
RMM_FAILED = "RMM failure at:"
SPELLINGS = {
    remedies.OUT_OF_MEMORY: [
        ("OutOfMemoryError", "Out of memory allocating 1,000 bytes (allocated so far: 0 bytes)."),
        ("MemoryError", f"{BAD_ALLOC} CUDA error at: c.hpp:62: cudaErrorMemoryAllocation"),
        ("MemoryError", f"{BAD_ALLOC} {RMM_FAILED}p.hpp:257: Maximum pool size exceeded"),
        ("OutOfMemoryError", "CUDA out of memory. Tried to allocate 2 GiB."),
        ("CUDARuntimeError", "cudaErrorMemoryAllocation: out of memory"),
        ("CUBLASError", "CUBLAS_STATUS_ALLOC_FAILED"),
        ("CudaAPIError", "[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY"),
    ],
    remedies.OWN_ALLOCATOR_FULL: [
        (
            "XlaRuntimeError",
            f"{EXHAUSTED} Out of memory while trying to allocate 6291456 bytes.",
        ),
        ("JaxRuntimeError", f"{EXHAUSTED} Out of memory while trying to allocate 16.00GiB."),
        (
            "XlaRuntimeError",
            f"{EXHAUSTED} Failed to allocate request for 2.99GiB (3206250496B) on device ordinal 0",
        ),
        ("ResourceExhaustedError", f"{{{{a}}}} {TENSOR}/device:GPU:0 by allocator GPU_0_bfc [a]"),
        ("ResourceExhaustedError", f"{{{{{ADD}GPU:0}}}} failed to allocate memory [Op:AddV2]"),
        ("InternalError", "Failed copying input tensor to GPU:0: Dst tensor is not initialized."),
    ],
    remedies.NO_DEVICE: [
        ("MemoryError", f"{BAD_ALLOC} Maximum pool size exceeded: cudaErrorNoDevice"),
        ("CudaSupportError", f"{AT_INIT} Call to cuInit results in CUDA_ERROR_NO_DEVICE (100)"),
        ("RuntimeError", "No CUDA GPUs are available"),
    ],
    remedies.NO_DRIVER: [
        ("CudaSupportError", f"{AT_INIT} \n\nCUDA driver library cannot be found."),
        ("RuntimeError", "Found no NVIDIA driver on your system."),
        ("ImportError", "libcuda.so.1: cannot open shared object file: No such file or directory"),
    ],
    remedies.NO_SUCH_DEVICE: [
        ("CUDARuntimeError", "cudaErrorInvalidDevice: invalid device ordinal")
    ],
    remedies.NO_POOLS: [
        (
            "RuntimeError",
            f"{RMM_FAILED} a.hpp:90: cudaMallocAsync not supported with this CUDA driver",
        )
    ],
    remedies.NO_NVML: [("NVMLError_LibraryNotFound", "NVML Shared Library Not Found")],
    remedies.DEVICE_LOST: [("NVMLError_Unknown", "Unknown Error")],
    remedies.HARDWARE: [
        ("NVMLError_GpuIsLost", "GPU is lost"),
        ("NVMLError_ResetRequired", "GPU requires restart"),
        (
            "CUDARuntimeError",
            "cudaErrorContained: Invalid access of peer GPU memory over nvlink or a hardware error",
        ),
        ("CUDADriverError", "CUDA_ERROR_CONTAINED: Invalid access of peer GPU memory"),
        ("CUDARuntimeError", "cudaErrorNvlinkUncorrectable: uncorrectable NVLink error"),
        ("CUDADriverError", "CUDA_ERROR_NVLINK_UNCORRECTABLE: uncorrectable NVLink error"),
    ],
    remedies.MPS: [
        ("CUDARuntimeError", "cudaErrorMpsConnectionFailed: MPS client failed to connect to"),
        ("CUDARuntimeError", "cudaErrorMpsMaxClientsReached: the hardware resources"),
        ("CudaAPIError", "[807] Call to cuInit results in CUDA_ERROR_MPS_SERVER_NOT_READY"),
    ],
    remedies.DRIVER_MISMATCH: [
        ("NVMLError_LibRmVersionMismatch", "RM has detected an NVML/RM version mismatch."),
    ],
}


@pytest.mark.parametrize(
    ("ename", "text", "cause"),
    [(ename, text, cause) for cause, errors in SPELLINGS.items() for ename, text in errors],
)
def test_other_spellings_are_known(ename: str, text: str, cause: remedies.Cause) -> None:
    assert remedies.find(ename, text, driver_version=13000) is cause


@pytest.mark.parametrize(
    ("ename", "text"),
    [
        ("MemoryError", "Unable to allocate 7.45 GiB for an array with shape (1000000000,)"),
        ("MemoryError", "std::bad_alloc"),
        ("MemoryError", ""),
        ("KeyError", "'cudaErrorNoDevice'"),
        ("AssertionError", "no CUDA-capable device is detected"),
        ("AttributeError", "'Reader' object has no attribute 'msg'"),
        ("RuntimeError", f"{RMM_FAILED} Error, Initial pool size required to be a multiple of 256"),
        ("RuntimeError", "Initial pool size exceeds the maximum pool size!"),
        ("ValueError", "Could not parse lots as a byte specification"),
        ("CUDARuntimeError", "cudaErrorIllegalAddress: an illegal memory access was encountered"),
        ("NVMLError_NotSupported", "Not Supported"),
        # the host's memory, of XLA and TensorFlow
        ("XlaRuntimeError", f"{EXHAUSTED} Out of memory allocating 40000000000000 bytes."),
        (
            "ResourceExhaustedError",
            f"{TENSOR} /job:localhost/replica:0/task:0/device:CPU:0 by allocator cpu [Op:AddV2]",
        ),
        ("ResourceExhaustedError", f"{{{{{ADD}CPU:0}}}} failed to allocate memory [Op:AddV2]"),
        ("ResourceExhaustedError", "/data/a.tfrecord; No space left on device"),
    ],
)
def test_an_error_that_is_not_about_the_gpu_has_no_cause(ename: str, text: str) -> None:
    assert remedies.find(ename, text) is None


def test_a_missing_driver_explains_what_would_hide_it() -> None:
    text = "cudaMallocAsync not supported with this CUDA driver/runtime version"

    assert remedies.find("RuntimeError", text, driver_version=0) is remedies.NO_DRIVER


def test_only_transient_causes_are_tool_errors_to_try_again() -> None:
    for cause in remedies.CAUSES:
        if cause.transient:
            assert cause.error is ToolError, cause.name
        if cause.reason in {Reason.GPU_MISSING, Reason.GPU_UNFIT}:
            assert cause.error is ConfigurationError, cause.name
        assert cause.remedy, cause.name
    for full in (remedies.OUT_OF_MEMORY, remedies.OWN_ALLOCATOR_FULL):
        assert (full.error, full.reason) == (UserCodeError, Reason.GPU_OUT_OF_MEMORY)
    assert "--rmm-mode" not in remedies.OWN_ALLOCATOR_FULL.remedy


@pytest.mark.parametrize("code", error_patterns.CODES)
def test_pytorch_names_no_error_and_is_understood_by_its_text(code: int) -> None:
    name, _, text = str(CUDARuntimeError(code)).partition(": ")
    shown = f"CUDA error: {text}\nCUDA kernel errors might be asynchronously reported"

    assert name.startswith("cudaError")
    for ename in ("AcceleratorError", "RuntimeError"):
        assert remedies.find(ename, shown, driver_version=13000) is remedies.of_code(
            code, driver_version=13000
        )


def test_names_of_causes_are_unique_and_all_codes_have_one() -> None:
    names = [cause.name for cause in remedies.CAUSES]

    assert len(names) == len(set(names))
    assert len(names) > 20
    assert {code for code, _ in CODES if remedies.of_code(int(code)) is None} == set()
    assert remedies.of_code(1) is None
    assert remedies.of_code(721) is None  # cudaErrorTensorMemoryLeak: a kernel's own
    assert {remedies.of_code(code) for code in (214, 220, 226)} == {remedies.HARDWARE}
    assert {remedies.of_code(code) for code in range(805, 811)} == {remedies.MPS}
