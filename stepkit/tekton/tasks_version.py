"""Whether the YAML of a Task is newer than the stepkit that it starts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import stepkit
from stepkit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

FLAG: Final = "--tasks-version"
_NUMBERS: Final = re.compile(r"(\d+)\.(\d+)\.(\d+).*")


def check(tasks: str) -> None:
    """Refuse Tasks that are newer: they may use options that this stepkit does not have.

    Raises :class:`ConfigurationError`, also for what is not a version.
    """
    if _order(tasks) > _order(stepkit.__version__):
        raise ConfigurationError(
            f"the Tasks are of stepkit {tasks}, newer than {stepkit.__version__}, which runs them: "
            f"run an image of {tasks}, or apply the Tasks of {stepkit.__version__} "
            "(stepkit tasks --out DIR)"
        )


def check_words(words: Sequence[str]) -> None:
    """Do the same for a command line that may hold options which are not known."""
    for word in words:
        flag, _, tasks = word.partition("=")
        if flag == FLAG and _NUMBERS.fullmatch(tasks):
            check(tasks)


def _order(version: str) -> tuple[int, ...]:
    found = _NUMBERS.fullmatch(version)
    if not found:
        raise ConfigurationError(f"{FLAG} {version!r} is not a version, such as 0.2.0")
    return tuple(map(int, found.groups()))
