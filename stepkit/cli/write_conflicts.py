"""Refuse to write one file over another that the same command reads or writes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from stepkit.errors import ConfigurationError
from stepkit.options import READS, WRITES, marked

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from _typeshed import DataclassInstance


def check(options: DataclassInstance, more: Iterable[tuple[str, Path]]) -> None:
    """Compare what a command writes with what it reads and with itself.

    ``more`` is what the command line writes for every step, by flag: results and the report.
    Devices such as ``/dev/stdout`` may be named twice. Raises :class:`ConfigurationError`.
    """
    taken = {os.path.realpath(path): flag for flag, path in marked(options, READS)}
    for flag, path in (*marked(options, WRITES), *more):
        place = os.path.realpath(path)
        if os.path.exists(place) and not os.path.isfile(place):  # noqa: PTH110, PTH113 - as a string
            continue
        if place in taken:
            raise ConfigurationError(
                f"{flag} and {taken[place]} name the same file {path}: name another"
            )
        taken[place] = flag
