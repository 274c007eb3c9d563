"""Turn a dataclass of options into command-line flags, and parsed flags into the dataclass."""

from __future__ import annotations

import argparse
from inspect import get_annotations
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, get_args, get_origin

from stepkit.formats import durations
from stepkit.options import (
    DURATION,
    POSITIONAL,
    Also,
    AtLeast,
    Declared,
    DefaultFromEnv,
    Pair,
    declared,
)
from stepkit.step import kebab

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


class _NotGiven:
    """The value of a flag that is absent or empty."""


NOT_GIVEN: Final = _NotGiven()


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
    return converter(hint, least=least, duration=DURATION in notes)


def converter(hint: Any, *, least: int | None, duration: bool) -> Callable[[str], Any]:
    """Return what argparse calls with the text of a flag: it makes a ``hint`` of it.

    ``least`` is the lowest number that is taken; with ``duration``, text is read as seconds. The
    converter returns :data:`NOT_GIVEN` for "" and raises :class:`argparse.ArgumentTypeError`
    with a line for people.
    """
    parse = _parser(hint, duration=duration)

    def convert(text: str) -> Any:
        if not text:
            return NOT_GIVEN
        try:
            value = parse(text)
        except ValueError as error:
            wanted = {int: "a whole number", float: "a number"}.get(parse)  # type: ignore[call-overload]
            message = f"{text!r} is not {wanted}" if wanted else str(error)
            raise argparse.ArgumentTypeError(message) from None
        if least is not None and value < least:
            raise argparse.ArgumentTypeError(f"{text!r} is too low: at least {least}")
        return value

    return convert


def _parser(hint: Any, *, duration: bool) -> Callable[[str], Any]:
    if isinstance(hint, UnionType):
        hint = get_args(hint)[0]
    if hint is bool:
        return _boolean
    if get_origin(hint) is Literal:
        return _one_of(get_args(hint))
    parse: Callable[[str], Any] = durations.parse if duration else hint
    return parse


def _boolean(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    def choose(text: str) -> str:
        if text not in choices:
            raise ValueError(f"{text!r} is none of {', '.join(choices)}")
        return text

    return choose
