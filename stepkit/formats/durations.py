"""Read and spell durations as people write them."""

from __future__ import annotations

import re
from typing import Final

DAY: Final = 86400  # seconds

# The units of Go's time.ParseDuration, as in Tekton, and days.
_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": DAY}
_NUMBER, _UNIT = r"\d+(?:\.\d+)?", f"(?:{'|'.join(_UNITS)})"
_LONGEST: Final = 36500 * DAY  # clocks and timers of the system overflow at 292 years


def parse(text: str) -> float:
    """Read a duration: a number of seconds, or ``1h30m``, ``90s``, ``500ms``, ``14d``.

    Returns seconds. Raises :class:`ValueError` whose message a user can read.
    """
    if not re.fullmatch(rf"{_NUMBER}|(?:{_NUMBER}{_UNIT})+", text):
        raise ValueError(f"{text!r} is not a duration: write 90, 90s, 5m or 1h30m, or 14d for days")
    parts = re.findall(f"({_NUMBER})({_UNIT})", text) if text[-1].isalpha() else [(text, "s")]
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds > _LONGEST:
        raise ValueError(f"{text!r} is longer than a hundred years")
    return seconds


def spell(length: float) -> str:
    """Spell a limit in seconds: ``14 days``, ``600 seconds``."""
    days, rest = divmod(length, DAY)
    if days and not rest:
        return f"{days:g} day{'s' if days > 1 else ''}"
    return f"{length:g} seconds"


def elapsed(seconds: float, *, tenths: bool = True) -> str:
    """Spell how long something took: ``1.2 s``, ``3m05s``, ``1h02m``.

    Without ``tenths``, less than a minute is spelled as ``45s``.
    """
    if tenths and seconds < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes_left:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
