"""Find the files that options name by their repository, before the step begins."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from stepkit.options import InCheckout, declared
from stepkit.system import named_checkouts

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


def find(options: T) -> T:
    """Return ``options`` with the paths of files that they name as ``tests:PATH``.

    Raises :class:`~stepkit.errors.ConfigurationError` for a file that is not there, or not in it.
    """
    found = {
        option.field.name: named_checkouts.find(
            path, getattr(options, "checkouts", None), notebooks_first=note.notebooks_first
        )
        for option in declared(type(options))
        for note in option.notes
        if isinstance(note, InCheckout) and (path := getattr(options, option.field.name))
    }
    return replace(options, **found)
