"""What stepkit's runner asks of the guard."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    Size = int | float | None  # bytes, or a share of what is free


class Settings(NamedTuple):
    """Sizes are bytes (``int``) or shares of the GPU memory that is free (``float``).

    ``overflow`` are bytes of the host's memory, ``report`` is a path, empty for none.
    """

    mode: str = "respect"
    initial: Size = None
    maximum: Size = None
    release_threshold: Size = None
    overflow: int | None = None
    without_gpu: str = "raise"
    report: str = ""
    children: bool = False

    @property
    def overrides(self) -> bool:
        """Whether RMM is set up as the mode says, whatever the notebook says."""
        return self.mode != "respect"


def read(text: str) -> Settings | None:
    """Return the settings in ``text``, None when it is empty; unknown ones are passed over.

    Raises :class:`ValueError` when it holds no JSON object.
    """
    if not text:
        return None
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError(f"no JSON object: {text}")  # noqa: TRY004 - as for text that is no JSON
    return Settings(**{name: values[name] for name in Settings._fields if name in values})
