"""Turn a dataclass into command-line flags, and parsed flags into the dataclass.

A field reads ``name: Annotated[type, "help text"] = default`` and becomes ``--name``. Types are
``str``, ``int``, ``float``, ``bool``, ``Path``, a ``Literal`` of strings, ``X | None``, and
``tuple[X, ...]`` for a flag that takes several values. Further annotations refine it:
:class:`FromEnv`, :class:`DefaultFromEnv`, :class:`Also`, :class:`Pair`, :class:`AtLeast`,
:data:`POSITIONAL`, :data:`DURATION`.

Every value may be a string and ``""`` means "not given", because that is all a Tekton Task
can pass.
"""

from __future__ import annotations

import argparse
from dataclasses import MISSING, Field, dataclass, fields
from inspect import get_annotations
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

from stepkit import durations, flag_values
from stepkit.flag_values import NOT_GIVEN
from stepkit.step import kebab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


@dataclass(frozen=True)
class FromEnv:
    """Marks a secret: read from an environment variable, never from a flag, never reported."""

    variable: str


@dataclass(frozen=True)
class DefaultFromEnv:
    """Takes an option's default from an environment variable that a CI system sets."""

    variable: str


@dataclass(frozen=True)
class Also:
    """Other spellings of the flag, such as a tool's own."""

    spellings: tuple[str, ...]

    def __init__(self, *spellings: str) -> None:
        object.__setattr__(self, "spellings", spellings)


@dataclass(frozen=True)
class Pair:
    """A second flag that takes NAME and VALUE apart and adds ``NAME=VALUE`` to the list."""

    flag: str


@dataclass(frozen=True)
class AtLeast:
    """The least number that an option takes; a lower one is refused before the step begins."""

    least: int


POSITIONAL: Final = "\0positional"  # the option is an argument without a flag
DURATION: Final = "\0duration"  # a number of seconds, also written 90s, 5m, 1h30m or 14d
READS: Final = "\0reads"  # a file, or several, that the step reads and must not write over
WRITES: Final = "\0writes"  # a file that the step writes
DETAIL: Final = "\0detail"  # an output for the report alone, too large for a Tekton result


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
    def required(self) -> bool:
        """Whether the option has no default."""
        return self.field.default is MISSING


def declared(cls: type[DataclassInstance]) -> Iterator[Declared]:
    """Yield the options (or outputs) of ``cls``: its own in order, then those it inherits."""
    hints = get_type_hints(cls, include_extras=True)
    own = get_annotations(cls)
    for field in sorted(fields(cls), key=lambda field: field.name not in own):
        hint, *notes = (
            get_args(hints[field.name]) if _annotated(hints[field.name]) else [hints[field.name]]
        )
        help_text = next((n for n in notes if isinstance(n, str) and not n.startswith("\0")), "")
        yield Declared(field, hint, help_text, tuple(notes))


def add_flags(parser: argparse.ArgumentParser, cls: type[DataclassInstance]) -> None:
    """Give ``parser`` one flag for each field of ``cls`` that is no secret.

    Those that it inherits stand under the ``heading`` of the class that declares them.
    """
    groups: dict[type, argparse._ActionsContainer] = {cls: parser}
    for option in declared(cls):
        owner = next(base for base in cls.__mro__ if option.field.name in get_annotations(base))
        if owner not in groups:
            groups[owner] = parser.add_argument_group(vars(owner)["heading"])
        if not option.secret:
            _add_flag(groups[owner], option)


def collect(cls: type[T], args: argparse.Namespace, env: Mapping[str, str]) -> T:
    """Make a ``cls`` of the parsed flags and the environment.

    Raises :class:`ValueError` with a line for people when a required value is missing.
    """
    return cls(**{option.field.name: _value(option, args, env) for option in declared(cls)})


def secrets(cls: type[DataclassInstance], env: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets of ``cls`` that ``env`` holds, by variable."""
    names = [option.secret.variable for option in declared(cls) if option.secret]
    return {name: env[name] for name in names if env.get(name)}


def marked(options: DataclassInstance, mark: str) -> Iterator[tuple[str, Path]]:
    """Yield the flag and the path of each option of ``options`` that carries ``mark``."""
    for option in declared(type(options)):
        value = getattr(options, option.field.name)
        if mark in option.notes:
            for path in value if isinstance(value, tuple) else (value,):
                if path:
                    yield "--" + kebab(option.field.name), path


def _annotated(hint: Any) -> bool:
    return hasattr(hint, "__metadata__")


def _value(option: Declared, args: argparse.Namespace, env: Mapping[str, str]) -> Any:
    if option.secret:
        return env.get(option.secret.variable) or option.field.default
    given = getattr(args, option.field.name)
    if isinstance(given, list):
        given = tuple(item for item in given if item is not NOT_GIVEN) or NOT_GIVEN
    if given is not NOT_GIVEN:
        return given
    if option.required:
        raise ValueError(f"--{kebab(option.field.name)} is empty: {option.help}")
    for note in option.notes:
        if isinstance(note, DefaultFromEnv) and env.get(note.variable):
            return _converter(option.hint, option.notes)(env[note.variable])
    return option.field.default


def _add_flag(parser: argparse._ActionsContainer, option: Declared) -> None:
    several = get_origin(option.hint) is tuple
    convert = _converter(get_args(option.hint)[0] if several else option.hint, option.notes)
    extra: dict[str, Any] = {"nargs": "*", "action": "extend"} if several else {}
    if option.hint is bool:
        extra = {"nargs": "?", "const": True}
    text = option.help if option.required else f"{option.help}{_shown_default(option)}"
    if POSITIONAL in option.notes:
        parser.add_argument(
            option.field.name, type=convert, metavar=option.field.name.upper(), help=text
        )
        return
    also = [s for note in option.notes if isinstance(note, Also) for s in note.spellings]
    parser.add_argument(
        "--" + kebab(option.field.name),
        *also,
        dest=option.field.name,
        type=convert,
        required=option.required,
        default=NOT_GIVEN if not several else None,
        metavar=_metavar(option),
        help=text.replace("%", "%%"),
        **extra,
    )
    if several:
        parser.set_defaults(**{option.field.name: []})
    for pair in (note for note in option.notes if isinstance(note, Pair)):
        parser.add_argument(
            pair.flag,
            nargs=2,
            dest=option.field.name,
            action=_AddPair,
            metavar=("NAME", "VALUE"),
            help=f"one more of --{kebab(option.field.name)}, as two arguments",
        )


class _AddPair(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        assert isinstance(values, list)
        name, value = values
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), f"{name}={value}"])


def _metavar(option: Declared) -> str:
    hint = option.hint
    if get_origin(hint) is tuple or isinstance(hint, UnionType):
        hint = get_args(hint)[0]
    if hint is bool:
        return "true|false"
    if get_origin(hint) is Literal:
        return "|".join(get_args(hint))
    if DURATION in option.notes:
        return "DURATION"
    return {int: "N", float: "X"}.get(hint) or option.field.name.rpartition("_")[2].upper()


def _shown_default(option: Declared) -> str:
    default = option.field.default
    if default in (None, (), ""):
        return ""
    shown = str(default).lower() if isinstance(default, bool) else str(default)
    if DURATION in option.notes and isinstance(default, int | float):
        shown = durations.spell(default)
    return f" (default: {' '.join(default) if isinstance(default, tuple) else shown})"


def _converter(hint: Any, notes: Sequence[object]) -> Callable[[str], Any]:
    least = next((note.least for note in notes if isinstance(note, AtLeast)), None)
    return flag_values.converter(hint, least=least, duration=DURATION in notes)
