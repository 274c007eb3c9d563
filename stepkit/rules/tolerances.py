"""Decide which errors of which cells are tolerated, and how often."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, StepError
from stepkit.formats.shorten import shorten
from stepkit.rules import patterns
from stepkit.rules.rule import Tolerance

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

logger = logging.getLogger(__name__)

LONGEST: Final = 10_000  # characters of an error's text in which an expression is searched
NOT_FOR_AUTHORS: Final = (
    "the notebooks' repository may change cells, but not excuse its own errors: declare this in "
    "another repository (tests:PATH, config:PATH), or pass --allow-notebook-tolerance true"
)
_MOST_TEXT: Final = 200  # characters of an error's text in a warning
_FROM_FLAG: Final = "declared on the command line"
_NO_NAME: Final = re.compile(r"[*+?(){}\[\]|^$\\]")  # never in the name of an exception's class


class Tolerances:
    """The declared tolerances of one run, and how often each was used."""

    def __init__(self, declared: Sequence[tuple[Tolerance, AbstractSet[str] | None]] = ()) -> None:
        self._declared = declared
        self._used = [0] * len(declared)

    def accept(self, cell_id: str, ename: str, evalue: str) -> Tolerance | None:
        """Return the first declaration that covers this error and is not used up, or None.

        A declaration whose expression takes too long on this text covers nothing; the log says
        so.
        """
        for number, (tolerance, ids) in enumerate(self._declared):
            if self._used[number] >= tolerance.max or (ids is not None and cell_id not in ids):
                continue
            if tolerance.ename == ename and _matches(tolerance, evalue):
                self._used[number] += 1
                return tolerance
        for tolerance, ids in self._declared:
            if tolerance.ename == ename and tolerance.evalue and (ids is None or cell_id in ids):
                said = shorten(" ".join(evalue.split()), _MOST_TEXT)
                logger.warning("%s does not cover %s: %s", tolerance.where, ename, said)
        return None

    def unused(self) -> list[str]:
        """Say which declarations no error needed."""
        pairs = zip(self._declared, self._used, strict=True)
        return [
            f"tolerance for {tolerance.ename} was not needed: {tolerance.reason}"
            for (tolerance, _), used in pairs
            if not used
        ]

    def __bool__(self) -> bool:
        """Return whether anything was declared."""
        return bool(self._declared)


def _matches(declared: Tolerance, evalue: str) -> bool:
    if not declared.evalue:
        return True
    text = evalue[:LONGEST]
    try:
        return patterns.search(declared.evalue, [text], ["the error's text"])[0]
    except StepError as error:
        logger.warning("%s: the error is not tolerated: %s", declared.where, error)
        return False


def parse_tolerance(text: str, *, warn: bool = True) -> Tolerance:
    """Read ``KeyError:.*pca # reason``: a class, an expression that the text matches, and why.

    Without the expression, every text matches. Without the reason, the log warns (``warn``).
    Raises :class:`ConfigurationError`.
    """
    declaration, _, reason = text.rpartition(" # ") if " # " in text else (text, "", "")
    ename, _, evalue = declaration.partition(":")
    where = f"--tolerate {text!r}"
    declared = Tolerance(
        ename=ename.strip(), evalue=evalue.strip(), reason=reason.strip() or _FROM_FLAG, where=where
    )
    check(declared)
    if warn and not reason.strip():
        wide = "" if declared.evalue else f"tolerates every {declared.ename}, and "
        logger.warning("%s %sgives no reason: add ' # ' and why it is harmless", where, wide)
    return declared


def check(declared: Tolerance) -> None:
    """Refuse a declaration that could never match. Raises :class:`ConfigurationError`."""
    where, ename = declared.where, declared.ename
    if not ename.strip() or _NO_NAME.search(ename):
        raise ConfigurationError(
            f"{where}: {ename!r} is not an error's class: write KeyError, and a part of its text "
            "after a colon, as in KeyError:.*pca"
        )
    if re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", ename):
        raise ConfigurationError(
            f"{where}: kernels report an error's class without its module: "
            f"write {ename.rpartition('.')[2]}"
        )
    check_regex(declared.evalue, where)


def check_regex(pattern: str, where: str) -> None:
    """Refuse what is not a regular expression. Raises :class:`ConfigurationError`."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigurationError(
            f"{where}: {pattern!r} is not a regular expression: {error}"
        ) from error
