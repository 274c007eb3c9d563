"""What stepkit wants to reach, and whether the measurement says that it does."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from benchmarks import figures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.figures import Figure, Spread
    from benchmarks.suite import Sample

Verdict = Literal["reached", "not reached", "not measured"]

FIGURES: Final[Mapping[str, Figure]] = {
    "wall": lambda usage: usage.wall,
    "memory": lambda usage: usage.runner_memory,
    "first line": lambda usage: usage.first_output,
}


@dataclass(frozen=True, kw_only=True)
class Target:
    """A ratio of two runners in one case, and the bound it has to keep.

    ``over`` divided by ``under`` must be ``at_most`` or ``at_least`` so much.
    """

    case: str
    figure: str
    over: str
    under: str
    at_most: float | None = None
    at_least: float | None = None

    def wanted(self) -> str:
        """Say the bound: ``at most 1.15x``."""
        if self.at_most is not None:
            return f"at most {self.at_most:.3g}x"
        return f"at least {self.at_least:.3g}x"

    def holds(self, ratio: float) -> bool:
        """Tell whether a measured ratio keeps the bound."""
        low = 0 if self.at_least is None else self.at_least
        high = math.inf if self.at_most is None else self.at_most
        return low <= ratio <= high


@dataclass(frozen=True, kw_only=True)
class Result:
    """A target and what was measured for it."""

    text: str
    wanted: str
    measured: str
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
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


_BIG: Final = ("cells-800", "images-60x2mb", "text-60x2mb")
_STOCK_PAGE: Final = "jupyter nbconvert"

TARGETS: Final = (
    *(
        Target(case=case, figure="wall", over="stepkit", under="floor", at_most=1.15)
        for case in _BIG
    ),
    Target(case="cells-800", figure="wall", over="papermill", under="stepkit", at_least=15),
    *(
        Target(case=case, figure="wall", over="papermill", under="stepkit", at_least=5)
        for case in _BIG[1:]
    ),
    *(
        Target(case=case, figure="memory", over="stepkit", under="nbclient", at_most=1)
        for case in _BIG
    ),
    Target(case="cells-100", figure="first line", over="stepkit", under="papermill", at_most=1 / 3),
    Target(case="convert-real-4mb", figure="wall", over="stepkit", under=_STOCK_PAGE, at_most=0.6),
    Target(
        case="convert-tables-24mb", figure="wall", over=_STOCK_PAGE, under="stepkit", at_least=15
    ),
    Target(
        case="convert-tables-24mb",
        figure="memory",
        over="stepkit",
        under=_STOCK_PAGE,
        at_most=0.25,
    ),
    Target(
        case="both-real-4mb",
        figure="wall",
        over="papermill, then nbconvert",
        under="stepkit --page",
        at_least=2,
    ),
)


def judge(samples: Sequence[Sample], proofs: Sequence[Proof] = ()) -> list[Result]:
    """Hold each target against the median of the ratios, turn by turn; proofs follow."""
    proven = [_of_proof(proof) for proof in proofs if proof.ok is not None]
    return [_judge(target, samples) for target in TARGETS] + proven


def _of_proof(proof: Proof) -> Result:
    return Result(
        text=f"{proof.name}: {proof.runner}",
        wanted=proof.wanted,
        measured=proof.text,
        verdict="reached" if proof.ok else "not reached",
    )


def _judge(target: Target, samples: Sequence[Sample]) -> Result:
    measured = figures.ratio(
        samples, target.case, target.over, target.under, FIGURES[target.figure]
    )
    return Result(
        text=f"{target.case}, {target.figure}: {target.over} / {target.under}",
        wanted=target.wanted(),
        measured=_shown(measured),
        verdict=_verdict(target, measured, samples),
    )


def _verdict(target: Target, measured: Spread | None, samples: Sequence[Sample]) -> Verdict:
    runs = [sample for sample in samples if sample.case == target.case]
    if any(sample.problem and sample.runner.startswith("stepkit") for sample in runs):
        return "not reached"  # fast, but something was lost
    if measured is None:
        return "not measured"
    return "reached" if target.holds(measured.median) else "not reached"


def _shown(measured: Spread | None) -> str:
    if measured is None:
        return "-"
    return f"{measured.median:.2f}x ({measured.low:.2f}..{measured.high:.2f}, n={measured.count})"
