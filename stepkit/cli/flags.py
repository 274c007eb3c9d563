"""Turn a dataclass of options into command-line flags, and parsed flags into the dataclass."""

from __future__ import annotations

import argparse
import math
import re
from inspect import get_annotations
from pathlib import Path
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

from stepkit.cli.name_value_actions import AddPair, ExtendOrAddPair
from stepkit.formats import durations, path_addresses
from stepkit.formats.shorten import shorten
from stepkit.options import (
    DURATION,
    OR_ARGUMENT,
    OR_NO,
    POSITIONAL,
    Also,
    AtLeast,
    Declared,
    DefaultFromEnv,
    Metavar,
    Pair,
    declared,
)
from stepkit.step import kebab

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


class _Flags(Protocol):
    """A parser, or a group of its flags."""

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action:
        """Add a flag."""

    def set_defaults(self, **values: Any) -> None:
        """Set what an absent flag is."""


class _NotGiven:
    """The value of a flag that is absent or empty."""


NOT_GIVEN: Final = _NotGiven()
_LARGEST: Final = 2**53  # of whole numbers: more than any option means, and exact in JSON
_UNIONS: Final = (UnionType, Union)  # the second one with a Literal
_PAIR: Final = re.compile(r"[A-Z]+=[A-Z]+")  # a help that begins with it says what is given
_SHOWN: Final = 40  # characters of a wrong value that a message shows


def add_flags(
    parser: argparse.ArgumentParser,
    cls: type[DataclassInstance],
    optional: Collection[str] = (),
    only: Collection[str] | None = None,
) -> dict[str, argparse.Action]:
    """Give ``parser`` one flag for each field of ``cls`` that is not a secret, and return them.

    With ``only``, these fields alone get one. Fields in ``optional`` have a default elsewhere, and
    are not required. Inherited fields stand under the ``heading`` of the class that declares them.
    """
    groups: dict[str, _Flags] = {"": parser}
    added = {}
    for option in declared(cls):
        if only is not None and option.field.name not in only:
            continue
        owner = next(base for base in cls.__mro__ if option.field.name in get_annotations(base))
        heading: str = "" if owner is cls else owner.heading  # type: ignore[attr-defined]
        if heading not in groups:
            groups[heading] = parser.add_argument_group(heading)
        if not option.secret:
            added[option.field.name] = _add_flag(groups[heading], option, optional)
    return added


def collect(cls: type[T], args: argparse.Namespace, env: Mapping[str, str]) -> T:
    """Make a ``cls`` of the parsed flags and the environment.

    Raises :class:`ValueError` with a line for people when a required value is missing.
    """
    return cls(**{option.field.name: _value(option, args, env) for option in declared(cls)})


def spellings(cls: type[DataclassInstance]) -> list[str]:
    """Return every spelling of the flags of ``cls``."""
    found = []
    for option in declared(cls):
        if not option.secret and POSITIONAL not in option.notes:
            found.append("--" + kebab(option.field.name))
        if OR_NO in option.notes:
            found.append("--no-" + kebab(option.field.name))
        for note in option.notes:
            if isinstance(note, Also):
                found += note.spellings
            if isinstance(note, Pair):
                found.append(note.flag)
    return found


def secrets(cls: type[DataclassInstance], env: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets of ``cls`` that ``env`` holds, and that no child gets, by variable."""
    found = (option.secret for option in declared(cls))
    names = [secret.variable for secret in found if secret and not secret.left]
    return {name: env[name] for name in names if env.get(name)}


def _value(option: Declared, args: argparse.Namespace, env: Mapping[str, str]) -> Any:
    if option.secret:
        return env.get(option.secret.variable) or option.field.default
    given = getattr(args, option.field.name)
    if isinstance(given, list):
        given = tuple(item for item in given if item is not NOT_GIVEN) or NOT_GIVEN
    if given is not NOT_GIVEN:
        return given
    if option.required:
        raise ValueError(f"{option.shown} is empty: {option.help}")
    for note in option.notes:
        if isinstance(note, DefaultFromEnv) and (found := note.find(env)):
            return converter(option.hint, option.notes)(found)
    return option.field.default


def _add_flag(parser: _Flags, option: Declared, optional: Collection[str]) -> argparse.Action:
    several = get_origin(option.hint) is tuple
    convert = converter(get_args(option.hint)[0] if several else option.hint, option.notes)
    text = f"{option.help}{_shown_default(option)}".replace("%", "%%")
    if POSITIONAL in option.notes:
        if choices := choices_of(option.hint):
            text += f": {', '.join(choices)}"
        number: dict[str, Any] = {} if option.required else {"nargs": "?", "default": NOT_GIVEN}
        if several:
            number = {"nargs": "+"} if option.required else {"nargs": "*", "default": []}
        return parser.add_argument(
            option.field.name, type=convert, metavar=option.shown, help=text, **number
        )
    extra: dict[str, Any] = {"nargs": "*", "action": "extend"} if several else {}
    if option.hint is bool:
        extra = {"nargs": "?", "const": True}
    pairs = [note for note in option.notes if isinstance(note, Pair)]
    if pairs:
        extra["action"] = ExtendOrAddPair
    also = [s for note in option.notes if isinstance(note, Also) for s in note.spellings]
    or_argument = OR_ARGUMENT in option.notes
    text += ", also as an argument without the flag" if or_argument else ""
    added = parser.add_argument(
        option.shown,
        *also,
        dest=option.field.name,
        type=convert,
        required=option.required and not or_argument and option.field.name not in optional,
        default=NOT_GIVEN if not several and not or_argument else None,
        metavar=_metavar(option),
        help=text,
        **extra,
    )
    if several:
        parser.set_defaults(**{option.field.name: []})
    if OR_NO in option.notes:
        parser.add_argument(
            "--no-" + kebab(option.field.name),
            dest=option.field.name,
            action="store_false",
            default=NOT_GIVEN,
            help=f"the opposite of {option.shown}",
        )
    for pair in pairs:
        parser.add_argument(
            pair.flag,
            nargs=2,
            dest=option.field.name,
            action=AddPair,
            metavar=("NAME", "VALUE"),
            help=f"one more of --{kebab(option.field.name)}, as two arguments",
        )
    return added


def _metavar(option: Declared) -> str:
    hint = option.hint
    if get_origin(hint) in {tuple, *_UNIONS}:
        hint = get_args(hint)[0]
    if hint is bool:
        return "true|false"
    for note in option.notes:
        if isinstance(note, Metavar):
            return note.word
    if choices := choices_of(option.hint):
        return "|".join(choices)
    if pair := _PAIR.match(option.help):
        return pair[0]
    if DURATION in option.notes:
        return "DURATION"
    return {int: "N", float: "X"}.get(hint) or option.field.name.rpartition("_")[2].upper()


def choices_of(hint: Any) -> tuple[str, ...]:
    """Return what a Literal of strings, which may be optional, consists of."""
    if get_origin(hint) in _UNIONS:
        hint = get_args(hint)[0]
    return get_args(hint) if get_origin(hint) is Literal else ()


def _shown_default(option: Declared) -> str:
    default = option.field.default
    if option.required or default in (None, (), ""):
        return ""
    shown = str(default)
    if isinstance(default, bool):
        shown = shown.lower()
    elif isinstance(default, tuple):
        shown = " ".join(default)
    elif DURATION in option.notes and isinstance(default, int | float):
        shown = durations.spell(default)
    return f" (default: {shown})"


def converter(hint: Any, notes: Sequence[object] = ()) -> Callable[[str], Any]:
    """Return what argparse calls with the text of a flag: it makes a ``hint`` of it.

    It returns :data:`NOT_GIVEN` for "" and raises :class:`argparse.ArgumentTypeError` with a line
    for people.
    """
    least = next((note.least for note in notes if isinstance(note, AtLeast)), None)

    def convert(text: str) -> Any:
        if not text:
            return NOT_GIVEN
        try:
            if Path in {hint, *get_args(hint)}:
                path_addresses.check(text)
            value = durations.parse(text) if DURATION in notes else _parse(text, hint)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        if least is not None and value < least:
            raise argparse.ArgumentTypeError(f"{text!r} is too low: at least {least}")
        return value

    return convert


def _parse(text: str, hint: Any) -> Any:
    if get_origin(hint) in _UNIONS:  # X | None
        hint = get_args(hint)[0]
    if hint is bool:
        if text.lower() not in {"true", "false"}:
            raise ValueError(f"{text!r} is neither true nor false")
        return text.lower() == "true"
    if choices := choices_of(hint):
        if text not in choices:
            raise ValueError(f"{text!r} is none of {', '.join(choices)}")
        return text
    try:
        value = hint(text)
    except ValueError:
        wanted = {int: "a whole number", float: "a number"}.get(hint)
        if wanted is None:
            raise
        raise ValueError(f"{text!r} is not {wanted}") from None
    if hint is float and not math.isfinite(value):
        raise ValueError(f"{text!r} is not a finite number")
    if hint is int and abs(value) > _LARGEST:
        raise ValueError(f"{shorten(text, _SHOWN)!r} is too large")
    return value
