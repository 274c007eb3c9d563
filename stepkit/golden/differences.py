"""What differs between a notebook that ran and the golden one, as a report has it."""

from __future__ import annotations

from dataclasses import dataclass

from stepkit.errors import Reason, UserCodeError


@dataclass(frozen=True, kw_only=True)
class Difference:
    """An output that differs: of which cell, and how (:class:`~stepkit.golden.finding.Finding`)."""

    cell: int
    index: int
    id: str
    title: str
    output: str
    message: str
    golden: str
    new: str
    images: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ignored:
    """A cell that was not compared, and why."""

    cell: int
    why: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How a notebook compares with the one at ``golden``.

    ``compared`` counts cells. ``within`` counts numbers and images that differ within the limits,
    numbers by ``largest`` of the golden one at most. ``differing`` counts outputs; ``differences``
    are the first of them, and the first of each further cell without what it shows.
    """

    golden: str
    compared: int
    differing: int
    within: int
    largest: float
    ignored: tuple[Ignored, ...]
    differences: tuple[Difference, ...]

    @property
    def cells(self) -> list[int]:
        """The numbers of the cells that differ."""
        return list(dict.fromkeys(each.cell for each in self.differences))

    @property
    def message(self) -> str:
        """How it ended, in one sentence."""
        if self.differing:
            first, others = self.differences[0], len(self.cells) - 1
            more = f"; so {'does' if others == 1 else 'do'} {_cells(others)} more" if others else ""
            return (
                f"cell {first.cell} (`{first.title}`) differs from {self.golden}: {first.output}: "
                f"{first.message}{more}"
            )
        values = "value" if self.within == 1 else "values"
        within = f", {self.within} {values} within the limits" if self.within else ""
        ignored = f", {_cells(len(self.ignored))} not compared" if self.ignored else ""
        return f"{_cells(self.compared)} as in {self.golden}{within}{ignored}"

    @property
    def error(self) -> UserCodeError | None:
        """The error of outputs that differ."""
        return UserCodeError(self.message, reason=Reason.OUTPUTS_DIFFER) if self.differing else None


def _cells(count: int) -> str:
    return f"{count} cell{'' if count == 1 else 's'}"
