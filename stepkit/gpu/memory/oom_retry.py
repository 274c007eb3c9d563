"""The rungs for a notebook that ran out of the GPU's memory: each has an allocator that needs less.

:mod:`stepkit.notebook.attempts` runs it on one after the other. Each attempt is the whole notebook
from its first cell: CUDA does not let a process change its allocator while arrays live, and cells
that ran may not be safe to run twice. The rungs, from the first to the last:

1. as asked;
2. CUDA's async allocator, which gives back at once what is freed and hardly fragments, where a
   pool keeps both; ``cudaMalloc`` for each array if the async one was asked;
3. ``CUDF_SPILL=on`` for a notebook that uses cuDF, whose buffers then move to the host, on
   ``cudaMalloc``;
4. managed memory, whose pages move to the host when the GPU is full: slower, and bounded by
   ``--rmm-overflow``, or else by half of the host memory that is free (:data:`HOST_SHARE`);
5. the variant of the rules that ``--gpu-oom-variant`` names, on the rung before it.

:func:`below` leaves out what cannot help, by what the guard saw: a rung that needs as much as the
allocator that served, or more, and managed memory where pages cannot leave the GPU.

Only full GPU memory leads to the next rung. Any other failure does not: a notebook that fails for
another reason would fail again, and the host's memory only becomes scarcer further down.

A run that passes on a lower rung has *succeeded*, with exit code 0: all its cells ran, and where
arrays are does not change what they hold. This is not a tolerated error. Its message says which
attempt passed, a warning is logged for each attempt before it, and ``attempts`` in the report
lists all of them, so that the job is seen to have outgrown its GPU.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError
from stepkit.formats import sizes
from stepkit.gpu.memory import guard_request, memory_size
from stepkit.notebook.attempts import AS_ASKED, Rung

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepkit.gpu.step_options import GpuOptions
    from stepkit.notebook.attempts import Outputs

# The other half is for what the notebook itself holds on the host, and for wrong estimates: past
# the limit the OOM killer ends the kernel.
HOST_SHARE: Final = 0.5

_IN_VAIN: Final = "another allocator of RMM's would not help, the notebook does not use RMM: "

# From the most demanding on: a pool keeps what is freed, CUDA's own pool a part of it.
_DEMAND: Final = ("pool", "async", "cuda", "spilling", "managed pool", "managed")
# The first RMM whose cuML releases Python's lock while its threads allocate: the handler that cuDF
# spills in would wait for it.
_CUML_RELEASES_LOCK: Final = (25, 10)

_ASYNC: Final = Rung(
    phrase="with CUDA's async allocator",
    changes={"rmm_mode": "async", "rmm_pool_size": None, "rmm_release_threshold": "0"},
)
_CUDA: Final = Rung(
    phrase="with cudaMalloc for each array",
    changes={"rmm_mode": "cuda", "rmm_pool_size": None, "rmm_release_threshold": None},
)
_SPILL: Final = Rung(phrase="with CUDF_SPILL=on", changes={**_CUDA.changes, "cudf_spill": True})


def rungs(
    options: GpuOptions, *, variant: str | None = None, managed_limit: int | None = None
) -> tuple[Rung, ...]:
    """Return the ways to run the notebook, the one that was asked first, each once.

    It is the only one unless ``--on-gpu-oom retry-lower`` was given. ``variant`` is the variant of
    the rules that the first attempt runs. ``managed_limit`` are the bytes of host memory for
    managed memory if ``--rmm-overflow`` does not say; by default half of what is free now. Raises
    :class:`ConfigurationError` when there is nothing lower, or for options that the guard refuses.
    """
    guard_request.settings(options, Path())  # now, before anything of an earlier run is removed
    if options.on_gpu_oom == "fail":
        if options.gpu_oom_variant:
            raise ConfigurationError("--gpu-oom-variant needs --on-gpu-oom retry-lower")
        return (AS_ASKED,)
    lower: list[Rung] = []
    match options.rmm_mode:
        case "respect" | "pool":
            lower = [_ASYNC, _SPILL, _managed(options, managed_limit)]
        case "async":
            lower = [_CUDA, _SPILL, _managed(options, managed_limit)]
        case "cuda":
            lower = [_SPILL, _managed(options, managed_limit)]
        case "managed" | "off":
            pass
    if options.gpu_oom_variant not in {None, variant}:
        lower.append(_as_variant(options.gpu_oom_variant, lower[-1] if lower else None))
    if not lower:
        raise ConfigurationError(
            f"--on-gpu-oom retry-lower: no allocator needs less than --rmm-mode "
            f"{options.rmm_mode}: choose another mode, or name a --gpu-oom-variant"
        )
    return (AS_ASKED, *lower)


def _as_variant(variant: str | None, above: Rung | None) -> Rung:
    """Return a rung that runs a variant of the rules with the allocator of ``above``."""
    changes = {**(above.changes if above else {}), "variant": variant}
    phrase = f"as variant {variant}"
    return Rung(phrase=f"{phrase} {above.phrase}" if above else phrase, changes=changes)


def _managed(options: GpuOptions, limit: int | None) -> Rung:
    """Return the rung of managed memory, which may take ``limit`` bytes of the host's."""
    overflow: float = HOST_SHARE if limit is None else limit
    if options.rmm_overflow:
        overflow = memory_size.parse(options.rmm_overflow, name="--rmm-overflow")
    if isinstance(overflow, float):
        overflow = int(overflow * memory_size.free_on_host())
    return Rung(
        phrase=f"with managed memory and up to {sizes.spell(overflow)} of the host's",
        changes={
            "rmm_mode": "managed",
            "rmm_pool_size": None,
            "rmm_release_threshold": None,
            "rmm_overflow": str(overflow),
        },
    )


def below(rungs: tuple[Rung, ...], outputs: Outputs | None) -> tuple[tuple[Rung, ...], str]:
    """Leave out the rungs that cannot help a notebook that ran out of memory with ``outputs``.

    If none is left, the text says why: it is the beginning of a message.
    """
    guard = outputs.guard if outputs else None
    if not guard or not guard["active"]:
        return tuple(rung for rung in rungs if not rung.changes.get("cudf_spill")), ""
    if not guard["rmm"] or (guard["peak"] == 0 and guard["cupy"]):
        return tuple(rung for rung in rungs if "variant" in rung.changes), _IN_VAIN
    left = [rung for rung in rungs if "variant" in rung.changes or _needs_less(rung, guard)]
    if left and guard["pages_leave"] is False and left[-1].changes.get("rmm_mode") == "managed":
        variant = left.pop().changes.get("variant")
        left = [rung for rung in left if rung.changes["rmm_mode"] != "managed"]
        if variant:
            left.append(_as_variant(variant, _CUDA))
    return tuple(left), f"no allocator needs less than the one that served, {guard['allocator']}: "


def _needs_less(rung: Rung, guard: Mapping[str, Any]) -> bool:
    """Return whether a rung needs less of the GPU than what served."""
    kind, served = rung.changes["rmm_mode"], guard["kind"]
    if rung.changes.get("cudf_spill"):
        version = tuple(int(part) for part in re.findall("[0-9]{1,9}", guard["version"] or "")[:2])
        held = "cuml" in guard["libraries"] and version < _CUML_RELEASES_LOCK
        if "cudf" not in guard["libraries"] or held:
            return False
        kind = "spilling"
    return served not in _DEMAND or _DEMAND.index(kind) > _DEMAND.index(served)
