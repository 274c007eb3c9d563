"""The GPU of a notebook: whether there is one, who hands out its memory, and what it did.

:mod:`~stepkit.gpu.preflight` looks before the first cell, in processes of its own;
:mod:`~stepkit.gpu.guard` talks to what runs inside the kernel (:mod:`stepkit.kernel.guard`);
:mod:`~stepkit.gpu.sampler` watches meanwhile; :mod:`~stepkit.gpu.causes` says what an error means;
:mod:`~stepkit.gpu.lowering` runs a notebook again that ran out of the GPU's memory. Nothing here
initialises CUDA in stepkit's own process: that would take memory, and break it after a fork.
"""

from typing import Final

TIMELINE: Final = ".timeline.json.gz"  # ending of the file of samples beside an output
