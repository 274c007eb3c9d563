"""The size that a manifest gives for a file: in bytes, or rounded, as in ``2048 MB``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from stepkit.errors import ConfigurationError
from stepkit.formats import sizes


@dataclass(frozen=True, kw_only=True)
class ExpectedSize:
    """The size as it was written, and the fewest and most bytes that it stands for.

    A number of bytes stands for itself. A size with a unit is a rounded one: it may be wrong by one
    in its last digit, so that ``1.7 GB`` stands for 1.6 to 1.8 GB.
    """

    text: str
    least: int
    most: int

    @classmethod
    def parse(cls, given: int | str) -> Self:
        """Return the size for ``1700000000``, ``2048 MB``, ``1.7GB`` or ``2 GiB``.

        Raises :class:`ConfigurationError` for what is not a size.
        """
        text = str(given).strip()
        size = sizes.parse(text, least=1, forms="a number of bytes, 2048 MB or 1.7 GB")
        found = sizes.SPELLING.fullmatch(text)
        assert found
        if not found[3]:
            return cls(text=f"{size}", least=size, most=size)
        digits = len(found[2] or ".") - 1
        slack = round(sizes.UNITS[found[3].lower()] / 10**digits)
        if slack >= size:
            raise ConfigurationError(f"size {text!r} is too rough: give another digit, or bytes")
        return cls(text=text, least=size - slack, most=size + slack)

    @property
    def exact(self) -> int | None:
        """The number of bytes, None for a rounded size."""
        return self.least if self.least == self.most else None

    def fits(self, size: int) -> bool:
        """Whether a file of ``size`` bytes has it."""
        return self.least <= size <= self.most

    def instead(self, size: int) -> str:
        """Name another size and this one: ``2147483648 bytes (2048 MiB) instead of 2048 MB``.

        The size in parentheses is this one with a unit of 1024, if the file has that.
        """
        found = re.fullmatch("(?i)(.*?)([kmgtp])b?", self.text)
        meant = ""
        if found:
            ratio = sizes.UNITS[f"{found[2]}i".lower()] / sizes.UNITS[found[2].lower()]
            fits = self.least * ratio <= size <= self.most * ratio
            meant = f" ({found[1].strip()} {found[2].upper()}iB)" if fits else ""
        return f"{size} bytes{meant} instead of {self.text}"
