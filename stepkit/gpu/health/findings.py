"""What a check of the environment found, one finding at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stepkit.formats import sizes

Need = Literal["required", "optional", "none"]
Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was checked: what is there and, if that is not good, what to do."""

    check: str
    level: Level = "ok"
    text: str
    remedy: str = ""


def warning(check: str, text: str, remedy: str) -> Finding:
    """Return a finding that does not keep a notebook from running."""
    return Finding(check=check, level="warning", text=text, remedy=remedy)


@dataclass(frozen=True, kw_only=True)
class Device:
    """One GPU, or MIG instance, that a notebook sees. Memory is in bytes, None if unknown.

    ``index`` counts as CUDA does, among the visible ones. ``driver`` is the version of NVIDIA's
    driver (580.95.05), ``cuda`` the newest CUDA that it supports.
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
    """Spell CUDA's 12090 as 12.9; empty for None and 0."""
    return f"{number // 1000}.{number % 1000 // 10}" if number else ""
