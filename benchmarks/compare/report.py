"""Hold what was measured against what stepkit is to reach, and print both as tables."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks import figures
from benchmarks.compare.cases import Sample
from benchmarks.compare.record import Record
from benchmarks.figures import Proof, Result, Spread, Verdict

FIGURES: Final = {
    "wall": "wall",
    "CPU": "tree_cpu",
    "memory": "runner_memory",
    "memory of its first process": "own_memory",
    "first line": "first_output",
}

_LARGE: Final = ("cells-800", "images-60x2mb", "text-60x2mb")
# In a case, a figure of the first runner divided by that of the second, and the bound of the ratio.
TARGETS: Final[Sequence[tuple[str, str, str, str, str, float]]] = (
    *((case, "wall", "stepkit", "floor", "<=", 1.15) for case in _LARGE),
    ("cells-800", "wall", "papermill", "stepkit", ">=", 15),
    ("images-60x2mb", "wall", "papermill", "stepkit", ">=", 5),
    ("text-60x2mb", "wall", "papermill", "stepkit", ">=", 5),
    *((case, "memory", "stepkit", "nbclient", "<=", 1) for case in _LARGE),
    ("cells-100", "first line", "stepkit", "papermill", "<=", 1 / 3),
    ("convert-real-4mb", "wall", "stepkit", "jupyter nbconvert", "<=", 0.6),
    ("convert-tables-24mb", "wall", "jupyter nbconvert", "stepkit", ">=", 15),
    ("convert-tables-24mb", "memory", "stepkit", "jupyter nbconvert", "<=", 0.25),
    ("both-real-4mb", "wall", "papermill, then nbconvert", "stepkit --page", ">=", 2),
    ("clone-150mb", "wall", "stepkit", "git clone", "<=", 1.05),
    ("download-1gb", "wall", "stepkit", "curl", "<=", 1.25),
    ("download-1gb", "wall", "stepkit", "curl, sha256sum", "<=", 0.5),
    ("download-1gb", "CPU", "stepkit", "curl, sha256sum", "<=", 0.5),
    ("unpack-150mb", "wall", "stepkit", "tar", "<=", 1.1),
)
_AROUND: Final = (
    "clone-20-files", "clone-150mb", "clone-again-150mb", "download-1gb", "publish-50mb",
    "unpack-150mb",
)  # fmt: skip
# In a case, a figure of stepkit, less that of another runner; the most that it may be; its unit.
LIMITS: Final[Sequence[tuple[str, str, str, float, str]]] = (
    ("clone-20-files", "wall", "git clone", 0.3, "s"),
    ("clone-20-files", "CPU", "git clone", 0.3, "s"),
    ("clone-again-150mb", "wall", "", 1, "s"),
    ("clone-again-150mb", "CPU", "", 1, "s"),
    *((case, "memory of its first process", "", 64, "MiB") for case in _AROUND),
)

_MIB: Final = 1 << 20
_REST: Final = ("CPU s", "with kernel", "MiB", "with kernel", "first line s")


def by_turn(samples: Sequence[Sample], case: str, runner: str, figure: str) -> dict[int, float]:
    """Return a figure, a field of :class:`Usage`, of the good runs of a runner, by turn."""
    return {
        sample.turn: value
        for sample in samples
        if sample.case == case and sample.runner == runner and not sample.problem
        if (value := getattr(sample.usage, figure)) is not None
    }


def ratio(
    samples: Sequence[Sample], case: str, over: str, under: str, figure: str
) -> Spread | None:
    """Return how many times ``under``'s figure ``over``'s is, turn by turn."""
    return figures.ratio(*(by_turn(samples, case, runner, figure) for runner in (over, under)))


def _differences(samples: Sequence[Sample], case: str, less: str, figure: str) -> list[float]:
    """Return stepkit's figure, less that of another runner if one is named, of each turn."""
    ours = by_turn(samples, case, "stepkit", figure)
    other = by_turn(samples, case, less, figure) if less else dict.fromkeys(ours, 0.0)
    return [value - other[turn] for turn, value in ours.items() if turn in other]


def judge(samples: Sequence[Sample], proofs: Sequence[Proof] = ()) -> list[Result]:
    """Hold each target against the median of the ratios, turn by turn; proofs follow."""
    results = []
    lossy = {s.case for s in samples if s.problem and s.runner.startswith("stepkit")}
    for case, figure, over, under, sign, bound in TARGETS:
        found = ratio(samples, case, over, under, FIGURES[figure])
        text = f"{case}, {figure}: {over} / {under}"
        span = f"{found.low:.2f}..{found.high:.2f}, n={found.count}" if found else ""
        shown = f"{found.median:.2f}x ({span})" if found else ""
        result = figures.judge(text, sign, bound, found, unit="x", shown=shown)
        if case in lossy:
            result = dataclasses.replace(result, verdict="not reached")  # however fast it was
        results.append(result)
    for case, figure, less, bound, unit in LIMITS:
        found = figures.spread(
            [
                value / (_MIB if unit == "MiB" else 1)
                for value in _differences(samples, case, less, FIGURES[figure])
            ]
        )
        text = f"{case}, {figure}: stepkit{f' - {less}' if less else ''}"
        results.append(figures.judge(text, "<=", bound, found, unit=f" {unit}"))
    for proof in proofs:
        if proof.ok is not None:
            verdict: Verdict = "reached" if proof.ok else "not reached"
            name = f"{proof.name}: {proof.runner}"
            results.append(Result(name, proof.wanted, proof.text, verdict))
    return results


def lines(record: Record) -> Iterator[str]:
    """Yield everything a record holds: the machine, each case, the proofs, the targets."""
    yield f"{record.date}  {', '.join(f'{k} {v}' for k, v in record.machine.items())}"
    yield ", ".join(f"{name} {version}" for name, version in record.versions.items())
    for name in dict.fromkeys(sample.case for sample in record.samples):
        about, runs = record.cases[name], [s for s in record.samples if s.case == name]
        names = sorted({sample.runner for sample in runs}, key=about["runners"].index)
        ratios = (f"/ {about['runners'][0]}", f"{about['stock']} /")
        yield f"\n{name}: {about['what']}"
        rows = [_row(record, name, runner) for runner in names]
        yield from figures.table([("runner", "n", "wall s", "min..max", *ratios, *_REST), *rows])
        for sample in runs:
            if sample.problem:
                yield f"  {sample.runner}, turn {sample.turn + 1}: not counted: {sample.problem}"
    for name, reason in record.skipped.items():
        yield f"\nnot measured: {name}: {reason}"
    yield f"\nload average {record.load[0]:.1f} before, {record.load[1]:.1f} after"
    for proof in record.proofs:
        yield f"\n{proof.name}, {proof.runner}: {proof.text}"
    yield ""
    measured = [result for result in record.targets if result.verdict != "not measured"]
    if measured:
        yield from figures.target_table(measured, "measured (median)")
    if missing := len(record.targets) - len(measured):
        yield f"{missing} of {len(record.targets)} targets were not measured"


def _row(record: Record, case: str, runner: str) -> tuple[str, ...]:
    def median(figure: str, unit: int = 1, digits: int = 2) -> str:
        value = figures.spread([*by_turn(record.samples, case, runner, figure).values()])
        return f"{value.median / unit:.{digits}f}" if value else "-"

    def spell_ratio(over: str, under: str) -> str:
        return figures.spell(ratio(record.samples, case, over, under, "wall"), ".2f")

    wall = by_turn(record.samples, case, runner, "wall").values()
    about = record.cases[case]
    return (
        f"  {runner}",
        str(len(wall)),
        median("wall"),
        f"{min(wall):.2f}..{max(wall):.2f}" if wall else "-",
        spell_ratio(runner, about["runners"][0]),
        spell_ratio(about["stock"], runner),
        median("runner_cpu"),
        median("tree_cpu"),
        median("runner_memory", _MIB, 0),
        median("tree_memory", _MIB, 0),
        median("first_output"),
    )
