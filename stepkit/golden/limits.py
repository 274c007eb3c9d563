"""What may differ between an output and the golden one, as ``compare`` of a rules file says it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Streams = Literal["none", "stdout", "all"]
Normaliser = Literal["times", "paths"]

_NOISE: Final = 1e-9  # math.isclose's own


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What may differ in the outputs of one cell.

    ``ignore`` says why the cell is not compared. A number is the same within ``atol``, or within
    ``rtol`` times the golden one. Without both, whole numbers have to be equal, and others may
    differ by rounding. A pixel is the same if no colour of it differs by more than ``colours`` (of
    255); the share ``pixels`` of an image may differ. ``replace`` are pairs of a regular expression
    and what stands for its matches.
    """

    ignore: str = ""
    rtol: float | None = None
    atol: float | None = None
    streams: Streams = "stdout"
    colours: int = 0
    pixels: float = 0.0
    normalise: tuple[Normaliser, ...] = ()
    replace: tuple[tuple[str, str], ...] = ()

    def with_given(self, given: Mapping[str, Any]) -> Limits:
        """Return the limits with what a rules file says of them; ``reason`` explains ``ignore``."""
        said = {key: value for key, value in given.items() if key not in {"ignore", "reason"}}
        if "ignore" in given:
            reason = " ".join(given.get("reason", "the rules say so").split())
            said["ignore"] = reason if given["ignore"] else ""
        if "normalise" in given:
            said["normalise"] = tuple(given["normalise"])
        if "replace" in given:
            said["replace"] = tuple((each["regex"], each["with"]) for each in given["replace"])
        return replace(self, **said)

    def accept(self, golden: str, new: str) -> bool:
        """Return whether two numbers, as they are written, are the same within the limits."""
        was, now = float(golden), float(new)
        if not (math.isfinite(was) and math.isfinite(now)):
            return golden == new
        declared = self.rtol is not None or self.atol is not None
        if not declared and _is_whole(golden) and _is_whole(new):
            return int(golden) == int(new)
        rtol = (self.rtol or 0.0) if declared else _NOISE
        return abs(now - was) <= max(rtol * abs(was), self.atol or 0.0)

    def spell_numbers(self) -> str:
        """Spell the limits of numbers: ``rtol 0.01, atol 0``."""
        if self.rtol is None and self.atol is None:
            return f"rtol {_NOISE:g}"
        return f"rtol {self.rtol or 0:g}, atol {self.atol or 0:g}"


def _is_whole(number: str) -> bool:
    return number.lstrip("+-").isdigit()
