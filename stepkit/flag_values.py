"""What the text after a flag means, as the type of its option."""

from __future__ import annotations

import argparse
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin

from stepkit import durations

if TYPE_CHECKING:
    from collections.abc import Callable


class _NotGiven:
    """The value of a flag that is absent or empty."""


NOT_GIVEN: Final = _NotGiven()


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
    parse: Callable[[str], Any] = durations.seconds if duration else hint
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
