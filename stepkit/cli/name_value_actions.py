"""What argparse does with NAME and VALUE as two words, as papermill's ``-p`` takes them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


class AddPair(argparse.Action):
    """Adds its two words as ``NAME=VALUE``."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        """Add them to the list of the option."""
        assert isinstance(values, list)
        name, value = values
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), f"{name}={value}"])


class ExtendOrAddPair(argparse.Action):
    """Adds all its words, two of them as ``NAME=VALUE`` if the first one holds no ``=``."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        """Add them to the list of the option."""
        words = list(values or ())
        match words:
            case [str(name), str(value)] if name and "=" not in name:
                words = [f"{name}={value}"]
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), *words])
