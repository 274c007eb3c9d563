"""The guard of RMM as the runner sees it: what to ask of it, and what it told.

The guard itself (:mod:`stepkit.kernel.gpu_memory`) lives in the notebook's process. An environment
variable tells it what to do; it answers in a file of JSON lines, which outlives the process.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, StepError
from stepkit.gpu.memory import memory_size
from stepkit.gpu.memory.read_guard_log import Call, Told, told
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from stepkit.gpu.step_options import GpuOptions

logger = logging.getLogger(__name__)

__all__ = ["VARIABLE", "Call", "Settings", "Told", "read", "settings"]

VARIABLE: Final = "STEPKIT_GUARD"

_POOLS: Final = ("pool", "async")
_OVERRIDES: Final = ("cuda", "pool", "async", "managed")
_ALL: Final = ("respect", *_OVERRIDES)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the guard is to do; sizes are bytes (``int``) or shares of the free GPU memory.

    ``overflow`` are bytes of the host's memory. ``without_gpu`` says whether a notebook that
    sets RMM up without a GPU fails at once or is warned. ``hide`` keeps every GPU from it.
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

    def environment(self) -> dict[str, str]:
        """Return what to add to the kernel's environment.

        The guard's variable is there even in mode ``off``, and then empty: a run inside another
        one must not inherit its guard.
        """
        hidden = {"CUDA_VISIBLE_DEVICES": ""} if self.hide else {}
        return {VARIABLE: "" if self.mode == "off" else self._json(), **hidden}

    def _json(self) -> str:
        return json.dumps(
            {
                "mode": self.mode,
                "initial": self.initial,
                "maximum": self.maximum,
                "release_threshold": self.release_threshold,
                "overflow": self.overflow,
                "without_gpu": self.without_gpu,
                "report": str(self.report.absolute()),
                "children": self.children,
            }
        )


def settings(options: GpuOptions, report: Path) -> Settings:
    """Return what ``options`` ask of the guard; it will write to ``report``.

    Raises :class:`ConfigurationError` for a size that is none, or that the mode cannot use.
    """
    mode = options.rmm_mode
    _usable("--rmm-pool-size", options.rmm_pool_size, mode, _POOLS)
    _usable("--rmm-maximum-pool-size", options.rmm_maximum_pool_size, mode, _OVERRIDES)
    _usable("--rmm-release-threshold", options.rmm_release_threshold, mode, ("async",))
    _usable("--rmm-overflow", options.rmm_overflow, mode, _ALL)
    _usable("--rmm-children", "true" if options.rmm_children else None, mode, _ALL)
    initial = _size("--rmm-pool-size", options.rmm_pool_size)
    maximum = _size("--rmm-maximum-pool-size", options.rmm_maximum_pool_size)
    if initial and maximum and type(initial) is type(maximum) and initial > maximum:
        raise ConfigurationError(
            f"--rmm-pool-size {options.rmm_pool_size} is more than "
            f"--rmm-maximum-pool-size {options.rmm_maximum_pool_size}"
        )
    return Settings(
        mode=mode,
        report=report,
        initial=initial,
        maximum=maximum,
        release_threshold=_size("--rmm-release-threshold", options.rmm_release_threshold, least=0),
        overflow=_on_host("--rmm-overflow", options.rmm_overflow),
        without_gpu="warn" if options.gpu in {"optional", "none"} else "raise",
        children=options.rmm_children,
        hide=options.gpu == "none",
    )


def read(report: Path) -> Told:
    """Return what the guard told; without a report, that it was not active.

    Lines that a killed process left torn are counted and passed over. A report that cannot be read
    is logged, and never hides how the notebook ended.
    """
    try:
        content = atomic_files.read(report) if report.exists() else b""
    except StepError as error:
        logger.warning("what the guard told is lost: %s", error)
        return Told(allocator="unknown: the guard's report cannot be read")
    return told(content.decode("utf-8", "replace").splitlines())


def _usable(flag: str, value: str | None, mode: str, modes: tuple[str, ...]) -> None:
    if value is None or mode in modes:
        return
    if mode == "off":
        raise ConfigurationError(f"{flag} needs a guard: --rmm-mode off turns it off")
    why = ": the notebook itself chooses" if mode == "respect" else ""
    raise ConfigurationError(f"{flag} needs --rmm-mode {' or '.join(modes)}; it is {mode}{why}")


def _size(flag: str, value: str | None, *, least: int = memory_size.SMALLEST) -> float | None:
    return None if value is None else memory_size.parse(value, name=flag, least=least)


def _on_host(flag: str, value: str | None) -> int | None:
    asked = _size(flag, value)
    return int(asked * memory_size.free_on_host()) if isinstance(asked, float) else asked
