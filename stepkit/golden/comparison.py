"""Compare a notebook that ran with the golden one: cell by cell, output by output."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError
from stepkit.golden import (
    golden_file,
    image_difference,
    normalise,
    output_difference,
    output_parts,
)
from stepkit.golden.differences import Comparison, Difference, Ignored
from stepkit.golden.finding import Tally
from stepkit.golden.limits import Limits
from stepkit.notebook import cell_numbers, nbval_markers
from stepkit.notebook.cell_title import title
from stepkit.rules import selectors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from stepkit.golden.golden_file import Pair
    from stepkit.golden.output_parts import Part
    from stepkit.rules.rule import Compare

_MOST: Final = 50  # differences that a report has
_MOST_IMAGES: Final = 400_000  # bytes of the images in a report


class Golden:
    """A golden notebook, and what may differ from it.

    ``compare`` is what the rules say of it.
    """

    def __init__(self, path: Path, compare: Compare) -> None:
        self.path = path
        self.notebook = golden_file.read(path)
        self._compare = compare
        self._limits = Limits().with_given(compare.given)
        self._of_cells: Mapping[str, Limits] = {}

    def check(self, original: Any, patched: Any, source: Path) -> None:
        """Check before a run that its outputs can be compared.

        ``original`` is the notebook from ``source``, whose cells the rules choose, and ``patched``
        what runs. Raises :class:`ConfigurationError`.
        """
        self._of_cells = self._choose(original)
        pairs = golden_file.pairs(self.notebook, patched, self.path, source)
        parts = [self._parts(pair)[1] for pair in pairs if not self._why_not(pair)]
        if any(part.kind == "image" for found in parts for part in found):
            image_difference.require()

    def compare(self, executed: Any, path: Path) -> Comparison:
        """Compare the notebook ``executed``, from ``path``, which :meth:`check` knows."""
        tally, ignored, compared = Tally(), [], []
        for pair in golden_file.pairs(self.notebook, executed, self.path, path):
            if why := self._why_not(pair):
                ignored.append(Ignored(cell=pair.number, why=why))
            else:
                compared.append((pair, *self._parts(pair)))
        normalise.parts([(limits, [*was, *now]) for _, limits, was, now in compared])
        found = [
            Difference(
                cell=pair.number,
                index=pair.index,
                id=pair.new["id"],
                title=title(pair.new["source"]),
                output=output,
                **vars(finding),
            )
            for pair, limits, was, now in compared
            for output, finding in output_difference.compare(was, now, limits, tally)
        ]
        return Comparison(
            golden=str(self.path),
            compared=len(compared),
            differing=len(found),
            within=tally.within,
            largest=tally.largest,
            ignored=tuple(ignored),
            differences=tuple(_within_budget(found)),
        )

    def _limits_of(self, pair: Pair) -> Limits:
        return self._of_cells.get(pair.new["id"], self._limits)

    def _why_not(self, pair: Pair) -> str:
        """Return why a cell is not compared, ``""`` if it is."""
        marked = nbval_markers.markers(pair.new)
        if ignored := self._limits_of(pair).ignore:
            return ignored
        if marked & {"skip", "ignore-output"}:
            return "its marker of nbval says so"
        if self._compare.only_marked and "check-output" not in marked:
            return "it has no marker NBVAL_CHECK_OUTPUT"
        return "" if cell_numbers.is_run(pair.new) else "it was not run"

    def _parts(self, pair: Pair) -> tuple[Limits, list[Part], list[Part]]:
        limits = self._limits_of(pair)
        both = [
            output_parts.read(cell.get("outputs", ()), limits) for cell in (pair.golden, pair.new)
        ]
        return limits, both[0], both[1]

    def _choose(self, nb: Any) -> dict[str, Limits]:
        """Return the limits of the cells that the rules name, by id."""
        found: dict[str, Limits] = {}
        cells = selectors.code_cells(nb)
        for declared in self._compare.cells:
            chosen = selectors.choose(cells, declared.cells, declared.where)
            if not chosen:
                hint = selectors.explain(cells, declared.cells)
                raise ConfigurationError(
                    f"{declared.where} ({declared.cells}) means no cell: {hint}"
                )
            for cell in chosen:
                found[cell.id] = found.get(cell.id, self._limits).with_given(declared.given)
        return found


def _within_budget(found: Sequence[Difference]) -> Iterator[Difference]:
    """Yield the first differences, with images as long as these are within the budget of a report.

    After them comes one of each further cell, which has only its message.
    """
    left = _MOST_IMAGES
    cells = set()
    for number, each in enumerate(found):
        if number < _MOST:
            left -= sum(map(len, each.images))
            yield each if left >= 0 else replace(each, images=())
        elif each.cell not in cells:
            yield replace(each, golden="", new="", images=())
        cells.add(each.cell)
