"""Replace what differs from run to run and says nothing: addresses, times, paths."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stepkit.rules import patterns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stepkit.golden.limits import Limits, Normaliser
    from stepkit.golden.output_parts import Part

# Those of a repr, and what is as long as one; a shorter number may be data.
_ADDRESS: Final = re.compile(r"(?<=\bat )0x[0-9a-fA-F]+\b|\b0x[0-9a-fA-F]{11,12}\b")
_DAY: Final = r"\d{4}-\d\d-\d\d"
_CLOCK: Final = r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d{1,9})?)?"
_ZONE: Final = r"(?:\s?(?:Z|UTC|[+-]\d\d:?\d\d))?"
_UNIT: Final = r"(?:ns|[µμu]s|ms|s|sec|secs|seconds?|min|mins|minutes?|h|hours?)"
_KNOWN: Final[dict[Normaliser, tuple[re.Pattern[str], str]]] = {
    "times": (
        re.compile(
            rf"\b{_DAY}[T ]{_CLOCK}{_ZONE}\b|\b{_DAY}\b|\b{_CLOCK}\b|"
            rf"\b\d+(?:\.\d+)?(?:e[+-]?\d+)?\s?{_UNIT}\b"
        ),
        "[time]",
    ),
    "paths": (re.compile(r"(?<![\w/.:<])~?(?:/[\w.+@%=-]+){2,}/?"), "[path]"),
}


def text(value: str, normalisers: Iterable[Normaliser]) -> str:
    """Return ``value`` with ``[address]``, ``[time]`` and ``[path]`` in place of such."""
    value = _ADDRESS.sub("[address]", value) if "0x" in value else value
    for name in normalisers:
        pattern, stands_for = _KNOWN[name]
        value = pattern.sub(stands_for, value)
    return value


def parts(of_cells: Sequence[tuple[Limits, Sequence[Part]]]) -> None:
    """Change the texts of parts as the limits of their cells say.

    Raises :class:`~stepkit.errors.ConfigurationError` for a regular expression that takes too long.
    """
    own: dict[tuple[str, str], list[Part]] = {}
    for limits, found in of_cells:
        for part in found:
            if part.kind != "image":
                part.value = text(part.value, limits.normalise)
                for pair in limits.replace:
                    own.setdefault(pair, []).append(part)
    for (regex, new), chosen in own.items():
        texts, names = [part.value for part in chosen], [part.name for part in chosen]
        done = patterns.substitute(regex, new, texts, names, re.MULTILINE)
        for part, (made, _) in zip(chosen, done, strict=True):
            part.value = made
