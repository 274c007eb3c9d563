"""What a check of the environment found, one finding at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stepkit.formats import sizes

Need = Literal["required", "optional", "none"]
Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at: what is there, and what to do if that is not good."""

    check: str
    level: Level = "ok"
    text: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class Device:
    """One GPU, or MIG instance, that a notebook sees. Memory is in bytes, None if not told.

    ``index`` counts as CUDA does, among the visible ones. ``driver`` is the driver's own version
    (580.95.05), ``cuda`` the newest CUDA that it speaks.
    """

    index: int
    name: str
    uuid: str
    memory_total: int
    memory_free: int | None = None
    compute_capability: str = ""
    driver: str = ""
    cuda: str = ""
    mig: bool | None = None

    @property
    def text(self) -> str:
        """Name and memory, for people."""
        total = sizes.spell(self.memory_total)
        if self.memory_free is None:
            return f"{self.name}, {total}"
        return f"{self.name}, {sizes.spell(self.memory_free)} of {total} free"


def cuda_version(number: int | None) -> str:
    """Spell CUDA's 12090 as 12.9; empty for none."""
    return f"{number // 1000}.{number % 1000 // 10}" if number else ""
