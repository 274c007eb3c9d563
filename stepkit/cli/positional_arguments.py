"""Arguments without a flag, which options with a flag take too: IN and OUT of papermill."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, get_origin

from stepkit.cli import flags
from stepkit.options import OR_ARGUMENT, POSITIONAL, Also, Declared, declared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import DataclassInstance


def spell_out_booleans(cls: type[DataclassInstance], words: Sequence[str]) -> list[str]:
    """Return ``words`` with ``--flag`` as ``--flag=true`` where an argument follows a boolean.

    argparse would take ``notebook.ipynb`` in ``--log-output notebook.ipynb`` for its value.
    """
    if not any(OR_ARGUMENT in option.notes for option in declared(cls)):
        return list(words)
    booleans = {
        spelling
        for o in declared(cls)
        if o.hint is bool
        for spelling in (o.shown, *(s for n in o.notes if isinstance(n, Also) for s in n.spellings))
    }
    end = words.index("--") if "--" in words else len(words)
    found = [
        f"{word}=true"
        if word in booleans and following.lower() not in {"", "true", "false"}
        else word
        for word, following in zip(words[:end], [*words[1:end], ""], strict=True)
    ]
    return [*found, *words[end:]]


def take(cls: type[DataclassInstance], args: argparse.Namespace, words: Sequence[str]) -> None:
    """Give the arguments without a flag to the options of ``cls`` that take them, in their order.

    Raises :class:`ValueError` with a line for people when one is too many, given twice or missing.
    """
    takers = [option for option in declared(cls) if OR_ARGUMENT in option.notes]
    if not words and all(getattr(args, option.field.name) is None for option in takers):
        words = _after_values(cls, args, len(takers))
    if len(words) > len(takers):
        raise ValueError(f"unexpected argument {words[len(takers)]!r}")
    for option, word in zip(takers, words, strict=False):
        if getattr(args, option.field.name) is not None:
            raise ValueError(
                f"{option.shown} is given twice: as a flag and as the argument {word!r}"
            )
        try:
            value = flags.converter(option.hint, option.notes)(word)
        except argparse.ArgumentTypeError as error:
            raise ValueError(f"argument {option.shown}: {error}") from None
        setattr(args, option.field.name, value)
    missing = [o.shown for o in takers if o.required and getattr(args, o.field.name) is None]
    if missing:
        took = next((o.shown for o in _greedy(cls) if len(getattr(args, o.field.name)) > 1), "")
        hint = f" ({took} takes all words after it: write them first)" if took else ""
        raise ValueError(f"the following arguments are required: {', '.join(missing)}{hint}")


def _greedy(cls: type[DataclassInstance]) -> list[Declared]:
    """Return the flags that take all words after them."""
    return [o for o in declared(cls) if get_origin(o.hint) is tuple and POSITIONAL not in o.notes]


def _after_values(
    cls: type[DataclassInstance], args: argparse.Namespace, count: int
) -> Sequence[str]:
    """Take notebooks that stand after the values of a flag: papermill's take one value each."""
    for option in _greedy(cls):
        values = getattr(args, option.field.name)
        last = [str(value) for value in values[-count:]]
        if len(values) > count > 0 and all(word.endswith(".ipynb") for word in last):
            setattr(args, option.field.name, values[:-count])
            return last
    return ()
