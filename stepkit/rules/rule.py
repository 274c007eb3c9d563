"""The types of a rules file: rules, selectors, tolerances, variants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from stepkit.errors import ConfigurationError
from stepkit.formats.did_you_mean import did_you_mean
from stepkit.formats.shorten import shorten

Place = Literal["before", "after", "instead-of"]
ORIGINAL = "original"  # the variant that every notebook has: none of the others


@dataclass(frozen=True, kw_only=True)
class Selector:
    """Which code cells a rule means: those that meet all that is given, or every cell.

    ``index`` is the cell's number as messages count, from 1; ``text`` is a part of its source and
    ``regex`` is searched in it, with ``^`` and ``$`` at each line.
    """

    id: str | None = None
    index: int | None = None
    tag: str | None = None
    text: str | None = None
    regex: str | None = None

    def __str__(self) -> str:
        """Write the selector as the file does."""
        given = (f"{name}: {value}" for name, value in vars(self).items() if value is not None)
        return "{" + ", ".join(given) + "}"


ANY = Selector()


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One change to a notebook; ``where`` names file, line and number for messages."""

    kind: ClassVar[str]
    where: str
    expect: int = 1

    @property
    def title(self) -> str:
        """The rule in a few words."""
        return self.kind


@dataclass(frozen=True, kw_only=True)
class Set(Rule):
    """Give top-level assignments another value; ``values`` maps names to Python source."""

    kind = "set"
    values: Mapping[str, str]
    cells: Selector = ANY


@dataclass(frozen=True, kw_only=True)
class Replace(Rule):
    """Replace text in sources; ``expect`` counts the places, not the cells."""

    kind = "replace"
    old: str
    new: str
    regex: bool = False
    cells: Selector = ANY

    @property
    def title(self) -> str:
        """The rule with what it looks for."""
        return f"replace {shorten_line(self.old)!r}"


@dataclass(frozen=True, kw_only=True)
class Skip(Rule):
    """Leave cells out of the run."""

    kind = "skip"
    cells: Selector
    reason: str = ""

    @property
    def title(self) -> str:
        """The rule with what it chooses."""
        return f"skip {self.cells}"


@dataclass(frozen=True, kw_only=True)
class Inject(Rule):
    """Add a code cell; ``cells`` is None for the notebook's start (before) or end (after)."""

    kind = "inject"
    place: Place
    cells: Selector | None
    source: str

    @property
    def title(self) -> str:
        """The rule with its place."""
        end = "start" if self.place == "before" else "end"
        return f"inject {self.place} {self.cells or end}"


AnyRule = Set | Replace | Skip | Inject


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """An error that a run tolerates: ``ename`` is its class, ``evalue`` is searched in its text.

    At most ``max`` such errors are accepted, only in ``cell`` if that is given.
    """

    ename: str
    evalue: str = ""
    reason: str
    max: int = 1
    cell: Selector | None = None
    where: str = ""


@dataclass(frozen=True, kw_only=True)
class CellsCompared:
    """What the file says of the outputs of some cells; ``given`` are its keys."""

    cells: Selector
    given: Mapping[str, Any]
    where: str = ""


@dataclass(frozen=True, kw_only=True)
class Compare:
    """How outputs are compared with those of the notebook ``golden``.

    ``given`` are the file's keys for all cells, and ``cells`` come after them. With
    ``only_marked``, only cells that have nbval's marker NBVAL_CHECK_OUTPUT are compared.
    """

    golden: Path | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    only_marked: bool = False
    cells: tuple[CellsCompared, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Subsample:
    """The hook that limits what anndata reads to so many rows (obs) and columns (var)."""

    max_obs: int | None = None
    max_vars: int | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A named preset: its rules and tolerances come after the file's own."""

    suffix: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    rules: tuple[AnyRule, ...] = ()
    tolerate: tuple[Tolerance, ...] = ()
    hooks: tuple[Subsample, ...] = ()
    compare: Compare | None = None


@dataclass(frozen=True, kw_only=True)
class Book:
    """A rules file; ``source`` is its path as the user wrote it, empty without a file.

    ``may_tolerate`` says whether a run may use its tolerances.
    """

    source: str = ""
    may_tolerate: bool = True
    rules: tuple[AnyRule, ...] = ()
    tolerate: tuple[Tolerance, ...] = ()
    compare: Compare | None = None
    variants: Mapping[str, Variant] = field(default_factory=dict)

    def variant(self, name: str | None) -> Variant:
        """Return the variant ``name``; None returns an empty variant, which changes nothing.

        So does :data:`ORIGINAL`, unless the file declares a variant of that name.

        Raises :class:`ConfigurationError` when the file does not declare it.
        """
        if name and name in self.variants:
            return self.variants[name]
        if name is None or name == ORIGINAL:
            return Variant(suffix="")
        if not self.variants:
            where = (
                f"{self.source} declares none"
                if self.source
                else f"there is no rules file (--rules); {ORIGINAL} needs none"
            )
            raise ConfigurationError(f"there is no variant {name!r}: {where}")
        hint = did_you_mean(name, self.variants)
        raise ConfigurationError(f"{self.source} has no variant {name!r}{hint}")

    def comparison(self, variant: str | None) -> Compare:
        """Return how outputs are compared: as the variant says, and otherwise as the file does."""
        return self.variant(variant).compare or self.compare or Compare()


EMPTY = Book()

_SHOWN = 60  # characters of a rule's text that a message shows


def shorten_line(text: str) -> str:
    """Return ``text`` on one line, shorten_line for a message."""
    return shorten(" ".join(text.split()), _SHOWN)
