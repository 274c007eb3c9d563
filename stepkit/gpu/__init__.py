"""The GPU of a notebook: can it be used, who hands out its memory, and what it did.

:mod:`~stepkit.gpu.health` checks the GPU before the first cell, in separate processes, and says
what an error means; :mod:`~stepkit.gpu.memory` configures RMM's guard inside the kernel
(:mod:`stepkit.kernel.gpu_memory`) and runs a notebook again that ran out of GPU memory;
:mod:`~stepkit.gpu.monitor` samples what the GPU does. Nothing here initialises CUDA in stepkit's
own process: that would take memory, and break it after a fork.
"""

from typing import Final

TIMELINE: Final = ".timeline.json.gz"  # ending of the file of samples beside an output
