"""What stepkit is to reach, and whether the measurement says that it does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks import figures
from benchmarks.figures import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.compare.suite import Sample
    from benchmarks.figures import Proof, Spread
    from benchmarks.process import Usage

Figure = Callable[["Usage"], "float | None"]

FIGURES: Final[dict[str, Figure]] = {
    "wall": lambda usage: usage.wall,
    "memory": lambda usage: usage.runner_memory,
    "first line": lambda usage: usage.first_output,
}


class Target(NamedTuple):
    """A ratio of two runners in one case, and the bound it has to keep.

    ``over`` divided by ``under`` must be at most (``<=``) or at least (``>=``) the ``bound``.
    """

    case: str
    figure: str
    over: str
    under: str
    sign: str
    bound: float


TARGETS: Final = (
    Target("cells-800", "wall", "stepkit", "floor", "<=", 1.15),
    Target("images-60x2mb", "wall", "stepkit", "floor", "<=", 1.15),
    Target("text-60x2mb", "wall", "stepkit", "floor", "<=", 1.15),
    Target("cells-800", "wall", "papermill", "stepkit", ">=", 15),
    Target("images-60x2mb", "wall", "papermill", "stepkit", ">=", 5),
    Target("text-60x2mb", "wall", "papermill", "stepkit", ">=", 5),
    Target("cells-800", "memory", "stepkit", "nbclient", "<=", 1),
    Target("images-60x2mb", "memory", "stepkit", "nbclient", "<=", 1),
    Target("text-60x2mb", "memory", "stepkit", "nbclient", "<=", 1),
    Target("cells-100", "first line", "stepkit", "papermill", "<=", 1 / 3),
    Target("convert-real-4mb", "wall", "stepkit", "jupyter nbconvert", "<=", 0.6),
    Target("convert-tables-24mb", "wall", "jupyter nbconvert", "stepkit", ">=", 15),
    Target("convert-tables-24mb", "memory", "stepkit", "jupyter nbconvert", "<=", 0.25),
    Target("both-real-4mb", "wall", "papermill, then nbconvert", "stepkit --page", ">=", 2),
)


def judge(samples: Sequence[Sample], proofs: Sequence[Proof] = ()) -> list[Result]:
    """Hold each target against the median of the ratios, turn by turn; proofs follow."""
    results = []
    for case, figure, over, under, sign, bound in TARGETS:
        found = ratio(samples, case, over, under, FIGURES[figure])
        runs = [sample for sample in samples if sample.case == case]
        text = f"{case}, {figure}: {over} / {under}"
        shown = (
            f"{found.median:.2f}x ({found.low:.2f}..{found.high:.2f}, n={found.count})"
            if found
            else ""
        )
        result = figures.judge(text, sign, bound, found, unit="x", shown=shown)
        if any(sample.problem and sample.runner.startswith("stepkit") for sample in runs):
            result = dataclasses.replace(result, verdict="not reached")  # it lost something
        results.append(result)
    return results + [
        Result(
            text=f"{proof.name}: {proof.runner}",
            wanted=proof.wanted,
            measured=proof.text,
            verdict="reached" if proof.ok else "not reached",
        )
        for proof in proofs
        if proof.ok is not None
    ]


def by_turn(samples: Sequence[Sample], case: str, runner: str, figure: Figure) -> dict[int, float]:
    """Return one figure of the good runs of a runner, by turn."""
    return {
        sample.turn: value
        for sample in samples
        if sample.case == case and sample.runner == runner and not sample.problem
        if (value := figure(sample.usage)) is not None
    }


def ratio(
    samples: Sequence[Sample], case: str, over: str, under: str, figure: Figure
) -> Spread | None:
    """Return how many times ``under``'s figure ``over``'s is, turn by turn."""
    return figures.ratio(*(by_turn(samples, case, runner, figure) for runner in (over, under)))
