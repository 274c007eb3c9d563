"""What each error of CUDA means, and what to do about it.

The texts of the errors mislead: "driver version is insufficient" most often means that the
container has no driver at all, and RMM hides "no device" behind its own AttributeError (in every
release from 0.15 to 26.10 it reads an attribute ``msg`` that its exception does not have).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError, UserCodeError
from stepkit.gpu.health import error_patterns


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why a GPU cannot be used.

    ``what`` and ``remedy`` are halves of one sentence, for the people who run the platform.
    ``error`` and ``reason`` are those of a step that needs the GPU. A ``transient`` cause may be
    gone in a new process, a little later.
    """

    name: str
    what: str
    remedy: str
    error: type[StepError] = ConfigurationError
    reason: Reason = Reason.GPU_UNFIT
    transient: bool = False


_ASK_FOR_ONE: Final = (
    "a pod must ask for one (resources.limits: nvidia.com/gpu: 1), docker run needs --gpus all"
)

NO_DRIVER: Final = Cause(
    name="no-driver",
    what="there is no NVIDIA driver here (libcuda.so.1), and so no GPU",
    remedy=f"{_ASK_FOR_ONE}, the node needs NVIDIA's container runtime, and "
    "NVIDIA_DRIVER_CAPABILITIES must hold compute,utility; on a machine of your own, install "
    "NVIDIA's driver",
    reason=Reason.GPU_MISSING,
)
NO_DRIVER_OR_OLD: Final = Cause(
    name="no-driver-or-old",
    what="there is no NVIDIA driver here, or one that is older than this CUDA needs",
    remedy=f"{_ASK_FOR_ONE}; `stepkit check-environment` shows which of the two it is",
    reason=Reason.GPU_MISSING,
)
NO_DEVICE: Final = Cause(
    name="no-device",
    what="the NVIDIA driver is there, but shows this container no GPU",
    remedy=f"{_ASK_FOR_ONE}; NVIDIA_VISIBLE_DEVICES and CUDA_VISIBLE_DEVICES must not hide it, "
    "and a card in MIG mode needs an instance",
    reason=Reason.GPU_MISSING,
)
MIG_WITHOUT_INSTANCE: Final = Cause(
    name="mig-without-instance",
    what="the GPU is in MIG mode, and this container was given none of its instances",
    remedy="ask for an instance (resources.limits: nvidia.com/mig-1g.10gb: 1, as the node offers "
    "them; docker run --gpus device=MIG-UUID); on the node, nvidia-smi mig -cgi PROFILE -C makes "
    "one, and nvidia-smi -mig 0 ends the mode",
    reason=Reason.GPU_MISSING,
)
NO_SUCH_DEVICE: Final = Cause(
    name="no-such-device",
    what="the program asks for a GPU by a number that does not exist here",
    remedy="GPUs count from 0 among those that the container was given; ask for more of them "
    "(resources.limits: nvidia.com/gpu), or use device 0",
    reason=Reason.GPU_MISSING,
)
DRIVER_TOO_OLD: Final = Cause(
    name="driver-too-old",
    what="the node's NVIDIA driver is older than the CUDA of this image needs",
    remedy="CUDA 13 needs driver 580 or newer, CUDA 12 needs 525: update the node's driver, or "
    "take an image with an older CUDA",
)
DRIVER_MISMATCH: Final = Cause(
    name="driver-mismatch",
    what="the driver's libraries in the container do not fit the node's kernel module",
    remedy="most often the driver was updated and the node not restarted since: restart it; or the "
    "image's own libcuda comes first on LD_LIBRARY_PATH: take it out",
)
COMPAT_UNSUPPORTED: Final = Cause(
    name="compat-unsupported",
    what="CUDA's forward compatibility libraries are in use, and this GPU does not support them",
    remedy="take /usr/local/cuda/compat out of LD_LIBRARY_PATH, and run an image with a CUDA that "
    "the node's driver supports",
)
STUB_LIBRARY: Final = Cause(
    name="stub-library",
    what="the libcuda that is found is a stub, meant for linking only",
    remedy="take the directory `stubs` out of LD_LIBRARY_PATH",
)
NOT_INITIALIZED: Final = Cause(
    name="initialization",
    what="CUDA could not be initialised",
    remedy="it may work in a new process; if it does not, look for Xid errors in the node's kernel "
    "log. In a process forked from one that used CUDA it never works: start it with spawn",
    error=ToolError,
    reason=Reason.GPU_BUSY,
    transient=True,
)
BUSY: Final = Cause(
    name="busy",
    what="the GPU is taken by another process, or not ready",
    remedy="see who uses it (nvidia-smi), and its compute mode: in Exclusive_Process only one "
    "process may use it (nvidia-smi -c 0 allows several)",
    error=ToolError,
    reason=Reason.GPU_BUSY,
    transient=True,
)
MPS: Final = Cause(
    name="mps",
    what="the server that shares the GPU among processes (MPS) does not serve this one",
    remedy="it may be starting, or full: wait, or allow more clients. nvidia-cuda-mps-control must "
    "run on the node for the same user, and CUDA_MPS_PIPE_DIRECTORY must be in the container",
    error=ToolError,
    reason=Reason.GPU_BUSY,
    transient=True,
)
NOT_READY: Final = Cause(
    name="system-not-ready",
    what="the GPUs of this node are not ready: NVIDIA's fabric manager has not set up NVSwitch",
    remedy="wait until nvidia-fabricmanager runs on the node, in the driver's own version, or "
    "restart it",
    error=ToolError,
    reason=Reason.GPU_BUSY,
    transient=True,
)
UNKNOWN: Final = Cause(
    name="unknown",
    what="the driver reports only 'unknown error'",
    remedy="load nvidia-uvm on the node (nvidia-modprobe -u -c=0) and look for Xid errors in its "
    "kernel log; a new container may get the GPU back",
    error=ToolError,
    reason=Reason.GPU_BUSY,
    transient=True,
)
DEVICE_LOST: Final = Cause(
    name="device-lost",
    what="the container lost its access to the GPU",
    remedy="start it anew. A `systemctl daemon-reload` on the node does this to running "
    "containers, unless the container toolkit uses CDI or the cgroupfs driver",
    error=ToolError,
    reason=Reason.GPU_BUSY,
    transient=True,
)
DEVICE_FILES: Final = Cause(
    name="device-files",
    what="the driver cannot open its device files",
    remedy="/dev/nvidiactl, /dev/nvidia-uvm and /dev/nvidia0 must be in the container and open to "
    "its user; on the node, nvidia-modprobe -u -c=0 makes them",
)
HARDWARE: Final = Cause(
    name="hardware",
    what="the GPU failed: an uncorrectable memory error, a lost link, or it fell off the bus",
    remedy="run on another node, and drain this one: nvidia-smi -q shows the errors",
    error=ToolError,
    reason=Reason.GPU_FAILED,
)
NO_NVML: Final = Cause(
    name="no-nvml",
    what="the driver's management library (libnvidia-ml.so.1) is not in the container",
    remedy="NVIDIA_DRIVER_CAPABILITIES must hold utility beside compute",
)
PTX_UNSUPPORTED: Final = Cause(
    name="ptx-unsupported",
    what="a library was compiled by a newer CUDA than the node's driver can translate",
    remedy="update the node's driver to that of the image's CUDA toolkit, or take an older image",
)
NO_KERNEL_IMAGE: Final = Cause(
    name="no-kernel-image",
    what="a library holds no code for this kind of GPU",
    remedy="RAPIDS needs compute capability 7.0 (Volta) or newer, and a newer GPU a newer release",
)
GPU_TOO_OLD: Final = Cause(
    name="gpu-too-old",
    what="the GPU's compute capability is below the 7.0 that RAPIDS needs",
    remedy="run on a node with a Volta GPU or a newer one",
)
NO_POOLS: Final = Cause(
    name="no-memory-pools",
    what="this driver, or virtual GPU, cannot hand out memory by cudaMallocAsync",
    remedy="use another allocator (--rmm-mode pool)",
)
MEMORY_TAKEN: Final = Cause(
    name="memory-taken",
    what="too little of the GPU's memory is free",
    remedy="another process holds it: look with nvidia-smi, wait for it, or take a GPU of your own",
    error=ToolError,
    reason=Reason.GPU_BUSY,
    transient=True,
)
TOO_SMALL: Final = Cause(
    name="gpu-too-small",
    what="the GPU has less memory than is asked for",
    remedy="run on a node with a larger one, or ask for less",
)
OUT_OF_MEMORY: Final = Cause(
    name="out-of-memory",
    what="the GPU's memory, or the pool's limit, is used up",
    remedy="use less data, free what is not needed, another allocator (--rmm-mode managed), a "
    "larger GPU, or --on-gpu-oom retry-lower",
    error=UserCodeError,
    reason=Reason.GPU_OUT_OF_MEMORY,
)
OWN_ALLOCATOR_FULL: Final = Cause(
    name="own-allocator-full",
    what="the GPU's memory is used up, as far as JAX's or TensorFlow's own allocator may take it",
    remedy="use less data, or a larger GPU. JAX takes 75 % of it at the start, TensorFlow all: "
    "XLA_PYTHON_CLIENT_MEM_FRACTION, XLA_PYTHON_CLIENT_PREALLOCATE=false and "
    "TF_FORCE_GPU_ALLOW_GROWTH=true share it with others",
    error=UserCodeError,
    reason=Reason.GPU_OUT_OF_MEMORY,
)
PROBE_HUNG: Final = Cause(
    name="hung",
    what="the driver did not answer",
    remedy="look for Xid errors in the node's kernel log; the GPU may need a reset",
    error=ToolError,
    reason=Reason.GPU_BUSY,
    transient=True,
)
PROBE_CRASHED: Final = Cause(
    name="crashed",
    what="the driver, or a library, ends the process that uses it",
    remedy="its parts do not fit each other: take what the image itself adds out of "
    "LD_LIBRARY_PATH, and look at the packages",
)
PROBE_KILLED: Final = Cause(
    name="killed",
    what="the process that asks the driver was killed from outside",
    remedy="memory may be short: look for OOM kills of the container, and raise its memory limit",
    error=ToolError,
    reason=Reason.TOOL_FAILED,
    transient=True,
)
PACKAGE_BROKEN: Final = Cause(
    name="package-broken",
    what="the GPU answers, but a library in the kernel's environment cannot use it",
    remedy="its packages do not fit each other or the driver: install CuPy and RMM anew, for one "
    "CUDA version",
)

CAUSES: Final = tuple(value for value in list(globals().values()) if isinstance(value, Cause))

_BY_NAME: Final = {cause.name: cause for cause in CAUSES}


def find(ename: str, evalue: str, *, driver_version: int | None = None) -> Cause | None:
    """Return what an exception of class name ``ename`` and text ``evalue`` means for the GPU.

    None for an error that is not about the GPU; that includes host memory that is used up.
    ``driver_version`` is the answer of cuDriverGetVersion (13000 for CUDA 13.0, 0 without a
    driver): it distinguishes a missing driver from an old one.
    """
    return _named(error_patterns.cause_name(ename, evalue), driver_version)


def of_code(code: int, *, driver_version: int | None = None) -> Cause | None:
    """Return what an error code of CUDA's driver or runtime means, None for others."""
    return _named(error_patterns.CODES.get(code), driver_version)


def _named(name: str | None, driver_version: int | None) -> Cause | None:
    if name == error_patterns.INSUFFICIENT_DRIVER:
        if driver_version:
            return DRIVER_TOO_OLD
        return NO_DRIVER_OR_OLD if driver_version is None else NO_DRIVER
    if driver_version == 0 and name in {NO_NVML.name, NO_POOLS.name}:
        return NO_DRIVER
    return _BY_NAME[name] if name else None
