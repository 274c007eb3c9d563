"""Which addresses hear of a run, by how it ended.

Each line is an address, with a prefix if it is not for every run, as in apprise's own files:
``failed=slack://...`` or ``passed,flaky=https://...``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Outcome = Literal["passed", "flaky", "failed"]
OUTCOMES: Final[frozenset[str]] = frozenset({"passed", "flaky", "failed"})

_PREFIX: Final = re.compile(r"([^=:/?#]*)=(.*)")


@dataclass(frozen=True, kw_only=True)
class Route:
    """An address and the outcomes that it hears of, none for what is usual.

    ``variable`` holds it, and ``name`` stands for it, which is a secret, in messages. ``wrong``
    says what is wrong with the line, ``""`` if nothing is.
    """

    variable: str
    name: str
    address: str
    outcomes: frozenset[str] = frozenset()
    wrong: str = ""


def parse(text: str | None, variable: str) -> list[Route]:
    """Return the route of each line of ``text``, which the environment holds as ``variable``."""
    lines = {number: line.strip() for number, line in enumerate((text or "").splitlines(), start=1)}
    return [_route(line, number, variable) for number, line in lines.items() if line]


def _route(line: str, number: int, variable: str) -> Route:
    name = f"line {number} of {variable}"
    found = _PREFIX.fullmatch(line)
    if not found:
        return Route(variable=variable, name=name, address=line)
    outcomes = frozenset(word.strip().lower() for word in found[1].split(","))
    address = found[2].strip()
    wrong = "" if address else f"{name} has no address after its ="
    if not outcomes <= OUTCOMES:  # what stands there may be a part of a token
        wrong = f"{name}: the word before its = is not passed, flaky or failed"
    return Route(variable=variable, name=name, address=address, outcomes=outcomes, wrong=wrong)


def select(routes: Iterable[Route], outcome: Outcome, *, usual: frozenset[str]) -> list[Route]:
    """Return the routes for ``outcome``, and those that are wrong.

    A route without a prefix hears of the ``usual`` outcomes. Where no prefix is ``flaky``, a flaky
    run goes where failures go.
    """
    routes = list(routes)
    named = {word for route in routes for word in route.outcomes}
    sought = "failed" if outcome == "flaky" and "flaky" not in named else outcome
    return [route for route in routes if route.wrong or sought in (route.outcomes or usual)]
