"""Read what stepkit's runner asks of the guard: stepkit.gpu.memory.guard_request writes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Size = int | float | None  # bytes, or a share of what is free


class Settings:
    """What the guard is to do.

    Sizes are bytes (``int``) or shares of the GPU memory that is free (``float``), ``overflow`` is
    bytes of the host's memory, ``report`` is the path of the log, empty for none.
    """

    # Not a named tuple: making its class takes longer than the rest of the guard's start.
    def __init__(self, values: dict[str, Any]) -> None:
        self.mode: str = values.get("mode", "respect")
        self.initial: Size = values.get("initial")
        self.maximum: Size = values.get("maximum")
        self.release_threshold: Size = values.get("release_threshold")
        self.overflow: int | None = values.get("overflow")
        self.without_gpu: str = values.get("without_gpu", "raise")
        self.report: str = values.get("report", "")
        self.children: bool = values.get("children", False)

    @property
    def overrides(self) -> bool:
        """Whether RMM is set up as the mode says, whatever the notebook says."""
        return self.mode != "respect"

    def watching(self) -> Settings:
        """Return settings that leave RMM as the notebook sets it up."""
        return Settings({"report": self.report, "without_gpu": self.without_gpu})


def read(text: str) -> Settings | None:
    """Return the settings in ``text``, None when it is empty; unknown keys are ignored.

    Raises :class:`ValueError` when it holds no JSON object.
    """
    if not text:
        return None
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError(f"not a JSON object: {text}")  # noqa: TRY004 - as for text that is not JSON
    return Settings(values)
