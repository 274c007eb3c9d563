"""What argparse does with NAME and VALUE as two words, as papermill's ``-p`` takes them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


class _AddToList(argparse.Action):
    """Adds to the list of the option what :meth:`read` makes of the words after a flag."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        """Add them."""
        added = self.read(list(values or ()))
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), *added])

    def read(self, words: list[str]) -> list[str]:
        """Return what is added for ``words``."""
        raise NotImplementedError


class AddPair(_AddToList):
    """Adds its two words as ``NAME=VALUE``."""

    def read(self, words: list[str]) -> list[str]:
        """Return the one item."""
        name, value = words
        return [f"{name}={value}"]


class ExtendOrAddPair(_AddToList):
    """Adds all its words, two of them as ``NAME=VALUE`` if the first one holds no ``=``."""

    def read(self, words: list[str]) -> list[str]:
        """Return the words, or the one item."""
        match words:
            case [name, value] if name and "=" not in name:
                return [f"{name}={value}"]
        return words
