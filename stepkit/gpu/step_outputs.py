"""What a step that runs a notebook tells about the GPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from stepkit.gpu.memory.attempt_files import Attempt
from stepkit.options import DETAIL


@dataclass(frozen=True, kw_only=True)
class GpuOutputs:
    """Outputs of execute-notebook; empty where there is no GPU, or nobody looked."""

    allocator: Annotated[str, "what handed out the GPU's memory"] = ""
    gpu_memory_peak: Annotated[int | None, "most bytes in use at once on one GPU"] = None
    timeline: Annotated[Path | None, "samples of GPU, CPU and memory, as gzipped columns"] = None
    metrics: Annotated[Path | None, "metrics in Prometheus' text format"] = None
    gpu: Annotated[Mapping[str, Any] | None, "the GPUs, and what they did", DETAIL] = None
    guard: Annotated[Mapping[str, Any] | None, "what the guard in the kernel saw", DETAIL] = None
    attempts: Annotated[tuple[Attempt, ...], "each attempt, if there was more", DETAIL] = ()
