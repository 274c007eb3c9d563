"""How a step declares its options and outputs: as fields of a dataclass, with annotations.

A field reads ``name: Annotated[type, "help text"] = default`` and becomes ``--name``
(:mod:`stepkit.cli.flags`). Types are
``str``, ``int``, ``float``, ``bool``, ``Path``, a ``Literal`` of strings, ``X | None``, and
``tuple[X, ...]`` for a flag that takes several values. Further annotations refine it:
:class:`FromEnv`, :class:`DefaultFromEnv`, :class:`Also`, :class:`Pair`, :class:`InCheckout`,
:class:`AtLeast`, :class:`Metavar`, :data:`POSITIONAL`, :data:`DURATION`. An output that is the
answer itself is marked :data:`PRINTED`.

Every value may be a string and ``""`` means "not given", because that is all a Tekton Task
can pass.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, dataclass, fields
from inspect import get_annotations
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, get_args, get_type_hints

from stepkit.step import kebab

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


@dataclass(frozen=True)
class FromEnv:
    """Marks a secret: read from an environment variable, never from a flag, never reported.

    The variable is hidden from every child of every step. A ``shared`` one is hidden by the step
    that takes it and by no other: notebooks read data with it, too. One that is ``left`` stays in
    the environment even then.
    """

    variable: str
    shared: bool = False
    left: bool = False


@dataclass(frozen=True)
class DefaultFromEnv:
    """Takes an option's default from an environment variable that a CI system sets.

    With ``value``, the default is that text, in which ``{NAME}`` is another variable. Of several
    annotations, the first whose variables are all set counts.
    """

    variable: str
    value: str = ""

    def find(self, env: Mapping[str, str]) -> str:
        """Return the default, ``""`` where a variable is not set or is empty."""
        if not env.get(self.variable):
            return ""
        if not self.value:
            return env[self.variable]
        names = [name for _, name, _, _ in Formatter().parse(self.value) if name]
        return self.value.format_map(env) if all(map(env.get, names)) else ""


@dataclass(frozen=True)
class Also:
    """Other spellings of the flag, such as a tool's own."""

    spellings: tuple[str, ...]

    def __init__(self, *spellings: str) -> None:
        object.__setattr__(self, "spellings", spellings)


@dataclass(frozen=True)
class Pair:
    """A second flag that takes NAME and VALUE as two arguments and adds ``NAME=VALUE``.

    The first flag takes these two as well, if the name holds no ``=``.
    """

    flag: str


@dataclass(frozen=True)
class InCheckout:
    """The file may be in a checkout, as in ``tests:PATH`` (:mod:`stepkit.system.named_checkouts`).

    A plain path is looked up in the working directory first, unless ``notebooks_first``.
    """

    notebooks_first: bool = False


@dataclass(frozen=True)
class AtLeast:
    """The lowest number that an option takes; a lower one is refused before the step begins."""

    least: int


@dataclass(frozen=True)
class Metavar:
    """What stands for the value in the help; without it, the end of the option's name."""

    word: str


@dataclass(frozen=True)
class NameIn:
    """Marks a file that may be a bare name in the directory that the option ``directory`` names.

    Without that directory, a bare name says nothing.
    """

    directory: str


# The option is an argument without a flag, required unless it has a default; a tuple takes several.
POSITIONAL: Final = "\0positional"
OR_ARGUMENT: Final = "\0or argument"  # the value of the flag may be an argument without it, too
OR_NO: Final = "\0or no"  # a boolean whose flag has an opposite: --log-output, --no-log-output
DURATION: Final = "\0duration"  # a number of seconds, also written 90s, 5m, 1h30m or 14d
READS: Final = "\0reads"  # a file, or several, that the step reads and must not write over
WRITES: Final = "\0writes"  # a file that the step writes
PRINTED: Final = "\0printed"  # an output, a text, that is printed on stdout as it is
DETAIL: Final = "\0detail"  # an output for the report alone, too large for a Tekton result


# Where the checkouts of a run are; an option of each step whose files may be in one of them.
Checkouts = Annotated[
    Path | None,
    "directory of the checkouts source, tests and config: files may be notebooks:PATH, tests:PATH "
    "or config:PATH",
]


@dataclass(frozen=True)
class Declared:
    """One option as its field declares it."""

    field: Field[Any]
    hint: Any
    help: str
    notes: tuple[object, ...]

    @property
    def secret(self) -> FromEnv | None:
        """Where a secret comes from, or None for an option that has a flag."""
        return next((note for note in self.notes if isinstance(note, FromEnv)), None)

    @property
    def shown(self) -> str:
        """How a message names the option: its flag, or the argument in capitals."""
        if POSITIONAL in self.notes:
            return self.field.name.upper()
        return "--" + kebab(self.field.name)

    @property
    def required(self) -> bool:
        """Whether the option has no default."""
        return self.field.default is MISSING


def declared(cls: type[DataclassInstance]) -> Iterator[Declared]:
    """Yield the options (or outputs) of ``cls``: its own in order, then those it inherits."""
    hints = get_type_hints(cls, include_extras=True)
    own = get_annotations(cls)
    for field in sorted(fields(cls), key=lambda field: field.name not in own):
        annotated = hints[field.name]
        hint, *notes = get_args(annotated) if hasattr(annotated, "__metadata__") else [annotated]
        help_text = next((n for n in notes if isinstance(n, str) and not n.startswith("\0")), "")
        yield Declared(field, hint, help_text, tuple(notes))


def marked(options: DataclassInstance, mark: str) -> Iterator[tuple[str, Path]]:
    """Yield the flag and the path of each option of ``options`` that carries ``mark``."""
    for option in declared(type(options)):
        value = getattr(options, option.field.name)
        if mark in option.notes:
            for path in value if isinstance(value, tuple) else (value,):
                if path:
                    yield option.shown, path
