"""Request what RMM's guard does inside the kernel, through an environment variable.

The guard itself (:mod:`stepkit.kernel.gpu_memory`) runs in the notebook's process, and writes the
log that :mod:`stepkit.gpu.memory.read_guard_log` reads.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError
from stepkit.gpu.memory import memory_size

if TYPE_CHECKING:
    from stepkit.gpu.step_options import GpuOptions

VARIABLE: Final = "STEPKIT_GUARD"

_POOLS: Final = ("pool", "async")
_OVERRIDES: Final = ("cuda", "pool", "async", "managed")
_ALL: Final = ("respect", *_OVERRIDES)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the guard does; sizes are bytes (``int``) or shares of the free GPU memory.

    ``overflow`` are bytes of the host's memory. ``without_gpu`` says whether a notebook that
    sets RMM up without a GPU fails at once or is warned. ``hide`` keeps every GPU from it,
    ``cudf_spill`` makes cuDF spill, and ``cupy_limit`` limits CuPy's own pool, as bytes or as a
    share of the GPU's whole memory: these are for libraries themselves, not for the guard.
    """

    mode: str
    report: Path
    initial: float | None = None
    maximum: float | None = None
    release_threshold: float | None = None
    overflow: int | None = None
    without_gpu: str = "raise"
    children: bool = False
    hide: bool = False
    cudf_spill: bool = False
    cupy_limit: float | None = None

    def environment(self) -> dict[str, str]:
        """Return what to add to the kernel's environment.

        The guard's variable is set, but empty, in mode ``off``: a run inside another one must not
        inherit that one's guard.
        """
        request = asdict(self) | {"report": str(self.report.absolute())}
        for name in ("hide", "cudf_spill", "cupy_limit"):
            del request[name]
        found = {VARIABLE: "" if self.mode == "off" else json.dumps(request)}
        if self.hide:
            found["CUDA_VISIBLE_DEVICES"] = ""
        if self.cudf_spill:
            found["CUDF_SPILL"] = "on"
        if limit := self.cupy_limit:  # CuPy reads bytes, or a share with a percent sign
            share = isinstance(limit, float)
            found["CUPY_GPU_MEMORY_LIMIT"] = f"{limit * 100:g}%" if share else str(limit)
        return found


def settings(options: GpuOptions, report: Path) -> Settings:
    """Return what ``options`` ask of the guard, which will log to ``report``.

    Raises :class:`ConfigurationError` for text that is not a size, or a size that the mode cannot
    use.
    """
    mode = options.rmm_mode
    _check_mode("--rmm-pool-size", options.rmm_pool_size, mode, _POOLS)
    _check_mode("--rmm-maximum-pool-size", options.rmm_maximum_pool_size, mode, _OVERRIDES)
    _check_mode("--rmm-release-threshold", options.rmm_release_threshold, mode, ("async",))
    _check_mode("--rmm-overflow", options.rmm_overflow, mode, _ALL)
    _check_mode("--rmm-children", "true" if options.rmm_children else None, mode, _ALL)
    initial = _size("--rmm-pool-size", options.rmm_pool_size)
    maximum = _size("--rmm-maximum-pool-size", options.rmm_maximum_pool_size)
    if initial and maximum and type(initial) is type(maximum) and initial > maximum:
        raise ConfigurationError(
            f"--rmm-pool-size {options.rmm_pool_size} is more than "
            f"--rmm-maximum-pool-size {options.rmm_maximum_pool_size}"
        )
    threshold = _size("--rmm-release-threshold", options.rmm_release_threshold, least=0)
    overflow = _size("--rmm-overflow", options.rmm_overflow)
    if isinstance(overflow, float):
        overflow = int(overflow * memory_size.free_on_host())
    return Settings(
        mode=mode,
        report=report,
        initial=initial,
        maximum=maximum,
        release_threshold=threshold,
        overflow=overflow,
        without_gpu="warn" if options.gpu in {"optional", "none"} else "raise",
        children=options.rmm_children,
        hide=options.gpu == "none",
        cudf_spill=options.cudf_spill,
        cupy_limit=_size("--cupy-memory-limit", options.cupy_memory_limit),
    )


def _check_mode(flag: str, value: str | None, mode: str, modes: tuple[str, ...]) -> None:
    """Refuse a flag that ``mode`` cannot use; ``modes`` are those that can."""
    if value is None or mode in modes:
        return
    if mode == "off":
        raise ConfigurationError(f"{flag} needs a guard: --rmm-mode off turns it off")
    why = ": the notebook itself chooses" if mode == "respect" else ""
    raise ConfigurationError(f"{flag} needs --rmm-mode {' or '.join(modes)}; it is {mode}{why}")


def _size(flag: str, value: str | None, *, least: int = memory_size.SMALLEST) -> float | None:
    return None if value is None else memory_size.parse(value, name=flag, least=least)
