"""Medians and ratios of what was measured, what was wanted of them, and the tables of both."""

import json
import math
import statistics
import sys
from argparse import ArgumentTypeError
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Verdict = Literal["reached", "not reached", "not measured"]


@dataclass(frozen=True)
class Spread:
    """A median of ``count`` values between the lowest and the highest."""

    median: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Result:
    """A target and what was measured for it."""

    text: str
    wanted: str
    measured: str
    verdict: Verdict


@dataclass(frozen=True)
class Proof:
    """Something that holds or does not, such as that no reader saw a torn notebook.

    ``ok`` is None where nothing is asked of the runner; ``text`` is what was found.
    """

    name: str
    runner: str
    text: str
    wanted: str = ""
    ok: bool | None = None
    numbers: dict[str, Any] = field(default_factory=dict)


def spread(values: Sequence[float]) -> Spread | None:
    """Return the median and the range of ``values``, None without any."""
    if not values:
        return None
    return Spread(statistics.median(values), min(values), max(values), len(values))


def ratio(over: Mapping[int, float], under: Mapping[int, float]) -> Spread | None:
    """Return how many times the figure ``under`` the figure ``over`` is; both are by turn.

    Only turns in which both did well count: what disturbs one disturbs its neighbour too, so that
    the ratio within a turn is steadier than that of two medians.
    """
    return spread([over[turn] / under[turn] for turn in over if under.get(turn)])


def spell(spread: Spread | None, form: str) -> str:
    """Spell ``median (low..high)``, each as ``form`` says; a single value has no range."""
    if spread is None:
        return "-"
    span = f" ({spread.low:{form}}..{spread.high:{form}})" if spread.count > 1 else ""
    return f"{spread.median:{form}}{span}"


def judge(
    text: str, sign: str, bound: float, measured: Spread | None, *, unit: str, shown: str = ""
) -> Result:
    """Hold the median of ``measured`` against a ``bound`` that it must keep: ``<=`` or ``>=``.

    ``shown`` is what tables say of it, by default the median and the range.
    """
    wanted = f"{'at most' if sign == '<=' else 'at least'} {bound:.3g}{unit}"
    if measured is None:
        return Result(text, wanted, "-", "not measured")
    holds = measured.median <= bound if sign == "<=" else measured.median >= bound
    shown = shown or f"{spell(measured, '.3g')}{unit}"
    return Result(text, wanted, shown, "reached" if holds else "not reached")


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield ``rows`` as aligned columns, the first one to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join([row[0].ljust(widths[0]), *cells[1:]]).rstrip()


def target_table(results: Sequence[Result], measured: str) -> Iterator[str]:
    """Yield a table of targets; ``measured`` is the title of what was measured."""
    rows = [(r.text, r.wanted, r.measured, r.verdict) for r in results]
    yield from table([("target", "wanted", measured, ""), *rows])


def print_proofs(proofs: Iterable[Proof]) -> int:
    """Print each proof as it comes; return 1 if one of them failed, else 0."""
    code = 0
    for proof in proofs:
        print(f"{proof.name} {proof.runner}: {proof.text}", flush=True)
        code |= proof.ok is False
    return code


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a record, whole or not at all: a machine may be taken back while it is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(content, indent=1, default=str) + "\n")
    new.replace(path)


def positive_seconds(text: str) -> float:
    """Read the value of an option. Raises :class:`argparse.ArgumentTypeError` for another one."""
    with suppress(ValueError):
        if 0 < (number := float(text)) < math.inf:
            return number
    raise ArgumentTypeError(f"{text!r} is not a number of seconds above 0")


def new_file(text: str) -> Path:
    """Read the value of an option. Raises :class:`argparse.ArgumentTypeError` for a directory."""
    if Path(text).is_dir():
        raise ArgumentTypeError(f"{text} is a directory")
    return Path(text)


def show_progress(line: str) -> None:
    """Print a line on stderr; tables go to stdout."""
    print(line, file=sys.stderr, flush=True)
