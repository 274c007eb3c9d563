"""The GPU of a notebook: whether it can be used, what allocates its memory, and what it did.

:mod:`~stepkit.gpu.health` checks the GPU before the first cell, in separate processes, and explains
CUDA's errors; :mod:`~stepkit.gpu.memory` configures RMM's guard inside the kernel
(:mod:`stepkit.kernel.gpu_memory`) and runs a notebook again that ran out of GPU memory;
:mod:`~stepkit.gpu.monitor` samples what the GPU does. Nothing here initialises CUDA in stepkit's
own process: that would take GPU memory, and CUDA does not work after a fork.
"""
