"""Flags about the GPU, for steps that run notebooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from stepkit.options import Metavar

Need = Literal["auto", "required", "optional", "none"]
Mode = Literal["respect", "cuda", "pool", "async", "managed", "off"]
OnOom = Literal["fail", "retry-lower"]


@dataclass(frozen=True, kw_only=True)
class GpuOptions:
    """Flags about the GPU.

    Sizes are ``4GiB``, ``500MB``, bytes, or a fraction of the memory that is free.
    """

    heading: ClassVar[str] = "the GPU"

    gpu: Annotated[
        Need,
        "required: check it before the first cell; optional: warn and go on without one; "
        "none: hide it; auto: explain a failure",
    ] = "auto"
    rmm_mode: Annotated[
        Mode,
        "what hands out GPU memory. respect: what the notebook asks for, guarded; cuda: one "
        "cudaMalloc for each array; pool: RMM's pool; async: CUDA's own pool; managed: managed "
        "memory; off: what the notebook asks for, without a guard",
    ] = "respect"
    rmm_pool_size: Annotated[str | None, "first size of the pool: 4GiB, or 0.5 of what is free"] = (
        None
    )
    rmm_maximum_pool_size: Annotated[str | None, "size that the pool may grow to"] = None
    rmm_release_threshold: Annotated[
        str | None, "what the async pool keeps when memory is freed", Metavar("SIZE")
    ] = None
    rmm_overflow: Annotated[
        str | None, "host memory to use when the GPU's is full; by default none", Metavar("SIZE")
    ] = None
    cudf_spill: Annotated[bool, "let cuDF move its buffers to the host when the GPU is full"] = (
        False
    )
    cupy_memory_limit: Annotated[
        str | None,
        "most that CuPy's own pool may hold: 8GiB, or 0.5 of the GPU's whole memory",
        Metavar("SIZE"),
    ] = None
    rmm_children: Annotated[bool, "guard Python processes that the notebook starts too"] = False
    on_gpu_oom: Annotated[
        OnOom, "retry-lower: run again from the start, with an allocator that needs less"
    ] = "fail"
    gpu_oom_variant: Annotated[
        str | None, "variant of the rules for the last attempt of retry-lower"
    ] = None
    max_cpu_fallback: Annotated[
        str | None,
        "share of the calls of cudf.pandas and cuml.accel that may run on the CPU: 0.2 or 20%",
        Metavar("SHARE"),
    ] = None
    sampling: Annotated[bool, "record GPU, CPU and memory five times a second"] = True
