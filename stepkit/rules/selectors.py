"""Number the code cells of a notebook and find those that a selector means."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError
from stepkit.formats import did_you_mean
from stepkit.notebook import cell_numbers
from stepkit.notebook.cell_title import title
from stepkit.rules import patterns
from stepkit.rules.rule import Selector

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SHOWN: Final = 10  # cells that a message lists
_LONGEST_LINE: Final = 1000  # of those that are compared; a longer one is data
_CUTOFF: Final = 0.6  # how alike two texts must be for a hint


@dataclass(frozen=True)
class Cell:
    """A code cell; ``position`` is its index among all cells, ``number`` that of messages or 0."""

    position: int
    number: int
    id: str
    tags: tuple[str, ...]
    source: str

    def __str__(self) -> str:
        """Name the cell for people."""
        return self.named_by(None)

    def named_by(self, line: int | None) -> str:
        """Name the cell for people, by one of its lines, from 1."""
        if self.number:
            return f"cell {self.number} (`{title(self.source, line)}`)"
        return f"the uncounted cell with id {self.id}"


def code_cells(nb: Any) -> list[Cell]:
    """Return the code cells, numbered as everywhere else."""
    return [
        Cell(position, number, str(cell.get("id", "")), tuple(cell_numbers.tags(cell)), cell.source)
        for position, (cell, number) in enumerate(
            zip(nb.cells, cell_numbers.number_cells(nb), strict=True)
        )
        if cell.cell_type == "code"
    ]


def choose(cells: Iterable[Cell], selector: Selector, where: str = "") -> list[Cell]:
    """Return the cells that ``selector`` means; ``where`` names its place for messages.

    Raises :class:`ConfigurationError` when its regular expression takes too long.
    """
    chosen = [cell for cell in cells if _matches(cell, selector)]
    if selector.regex is None or not chosen:
        return chosen
    try:
        texts = [cell.source for cell in chosen]
        matches = patterns.search(selector.regex, texts, chosen, re.MULTILINE)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}" if where else str(error)) from error
    return [cell for cell, match in zip(chosen, matches, strict=True) if match]


def _matches(cell: Cell, selector: Selector) -> bool:
    """Return whether ``cell`` meets all of ``selector`` except its regular expression."""
    return (
        selector.id in {None, cell.id}
        and selector.index in {None, cell.number}
        and (selector.tag is None or selector.tag in cell.tags)
        and (selector.text is None or selector.text in cell.source)
    )


def name_cells(cells: Sequence[Cell], times: Sequence[int] = ()) -> str:
    """Name several cells for people, each with how many ``times`` it was matched."""
    names = [str(cell) for cell in cells[:_SHOWN]]
    met = [f" {count} times" if count > 1 else "" for count in times] or [""] * len(cells)
    more = len(cells) - len(names)
    named = ", ".join(name + often for name, often in zip(names, met, strict=False))
    return named + (f" and {more} more" if more else "")


def explain(cells: Sequence[Cell], selector: Selector) -> str:
    """Return which parts of ``selector`` mean no cell, and the most similar ids, tags and lines."""
    hints = []
    if selector.index is not None and not choose(cells, Selector(index=selector.index)):
        count = max((cell.number for cell in cells), default=0)
        hints.append(f"the notebook has {count} such cell{'' if count == 1 else 's'}")
    if selector.id is not None:
        hints.append(_alike("id", selector.id, [cell.id for cell in cells]))
    if selector.tag is not None:
        tags = list(dict.fromkeys(tag for cell in cells for tag in cell.tags))
        hints.append(_alike("tag", selector.tag, tags) if tags else "no cell has tags")
    if selector.text is not None:
        hints.append(find_similar_line(cells, selector.text))
    if selector.regex is not None and not choose(cells, Selector(regex=selector.regex)):
        hints.append(f"no cell matches {selector.regex!r}")
    hints = [hint for hint in hints if hint]
    return "; ".join(hints) or "no cell meets all of it"


def _alike(what: str, wanted: str, known: Sequence[str]) -> str:
    if wanted in known:
        return ""
    if alike := did_you_mean.nearest(wanted, known):
        return f"the nearest {what} is {alike}"
    return f"no cell has the {what} {wanted}"


def find_similar_line(cells: Iterable[Cell], text: str) -> str:
    """Name the line most similar to ``text``; return ``""`` if a cell holds ``text``."""
    wanted = next((line.strip() for line in text.splitlines() if line.strip()), "")
    best: tuple[float, Cell | None, str] = (_CUTOFF, None, "")
    for cell in cells:
        if text in cell.source:
            return ""
        for line in cell.source.splitlines():
            if len(line) > _LONGEST_LINE:
                continue
            if _bare(wanted) in _bare(line):  # equal except for spaces and capitals
                return f"the nearest line is `{title(line)}` in {cell}"
            matcher = difflib.SequenceMatcher(None, wanted, line.strip(), autojunk=False)
            if matcher.real_quick_ratio() > best[0] and matcher.quick_ratio() > best[0]:
                best = max(best, (matcher.ratio(), cell, line), key=lambda item: item[0])
    if best[1] is None:
        return "no cell holds such text"
    return f"the nearest line is `{title(best[2])}` in {best[1]}"


def _bare(text: str) -> str:
    return "".join(text.split()).casefold()
