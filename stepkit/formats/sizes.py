"""Read and spell sizes in bytes as people write them."""

from __future__ import annotations

import re
from typing import Final

from stepkit.errors import ConfigurationError

GIB: Final = 1 << 30

SMALLEST: Final = 256  # a lower number probably lacks its unit
LARGEST: Final = 1 << 60  # more than any volume has

UNITS: Final = {
    "": 1,
    "b": 1,
    **{f"{prefix}{end}": 1000**n for n, prefix in enumerate("kmgtp", 1) for end in ("b", "")},
    **{f"{prefix}i{end}": 1024**n for n, prefix in enumerate("kmgtp", 1) for end in ("b", "")},
}
_SPELLED: Final = {
    False: {"GiB": 1 << 30, "MiB": 1 << 20},
    True: {"GB": 1000**3, "MB": 1000**2, "kB": 1000},
}
SPELLING: Final = re.compile(
    r"([0-9]{1,20})(\.[0-9]{1,20})?\s*([a-z]*|%)", re.IGNORECASE | re.ASCII
)
FORMS: Final = "4GiB, 500MB or a number of bytes"


def parse(
    text: str,
    *,
    name: str = "size",
    least: int = SMALLEST,
    largest: int = LARGEST,
    forms: str = FORMS,
) -> int:
    """Return the bytes of ``1073741824``, ``4GiB``, ``4Gi`` (1024-based), ``500MB``, ``500M``.

    Raises :class:`ConfigurationError` that begins with ``name`` for a text that is not a size,
    where it names the valid ``forms``, and for a size outside ``least`` and ``largest``.
    """
    found = SPELLING.fullmatch(text.strip())
    unit = found[3].lower() if found else ""
    if not found or unit not in UNITS or (found[2] and not unit):
        raise ConfigurationError(f"{name} {text!r} is not a size: write {forms}")
    whole, fraction = found[1], found[2]
    size = int(float(whole + fraction) * UNITS[unit]) if fraction else int(whole) * UNITS[unit]
    if not least <= size <= largest:
        hint = f": did you mean {text.strip()}GiB?" if 0 < size < SMALLEST and not unit else ""
        extreme = "large" if size > largest else "small"
        raise ConfigurationError(f"{name} {text!r} is {size} bytes, too {extreme}{hint}")
    return size


def spell(size: float, *, decimal: bool = False) -> str:
    """Spell bytes: ``4.0 GiB``, ``512.0 MiB``, ``300 bytes``.

    With ``decimal``, in powers of 1000 as file managers count: ``4.3 GB``, ``536.9 MB``, ``300 B``.
    """
    for unit, smallest in _SPELLED[decimal].items():
        if size >= smallest:
            return f"{size / smallest:.1f} {unit}"
    return f"{size:.0f} {'B' if decimal else 'bytes'}"
