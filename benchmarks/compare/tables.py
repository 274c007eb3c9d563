"""The tables of a record that people read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks import figures
from benchmarks.compare import targets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.compare.record import Record

_MIB: Final = 1 << 20
_FIGURES: Final = ("CPU s", "with kernel", "MiB", "with kernel", "first line s")


def of_record(record: Record) -> Iterator[str]:
    """Yield everything a record holds: the machine, each case, the proofs, the targets."""
    yield f"{record.date}  {', '.join(f'{k} {v}' for k, v in record.machine.items())}"
    yield ", ".join(f"{name} {version}" for name, version in record.versions.items())
    for name in dict.fromkeys(sample.case for sample in record.samples):
        yield ""
        yield from _case(record, name)
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


def _case(record: Record, name: str) -> Iterator[str]:
    runs = [sample for sample in record.samples if sample.case == name]
    about = record.cases[name]
    names = sorted({sample.runner for sample in runs}, key=about.runners.index)
    ratios = (f"/ {about.runners[0]}", f"{about.stock} /")
    head = ("runner", "n", "wall s", "min..max", *ratios, *_FIGURES)
    yield f"{name}: {about.what}"
    yield from figures.table([head, *(_row(record, name, runner) for runner in names)])
    for sample in runs:
        if sample.problem:
            yield f"  {sample.runner}, turn {sample.turn + 1}: not counted: {sample.problem}"


def _row(record: Record, case: str, runner: str) -> list[str]:
    samples, about = record.samples, record.cases[case]

    def median(figure: targets.Figure, digits: int = 2) -> str:
        value = figures.spread([*targets.by_turn(samples, case, runner, figure).values()])
        return f"{value.median:.{digits}f}" if value else "-"

    def ratio(over: str, under: str) -> str:
        value = targets.ratio(samples, case, over, under, lambda usage: usage.wall)
        if value is None:
            return "-"
        spread = f" ({value.low:.2f}..{value.high:.2f})" if value.count > 1 else ""
        return f"{value.median:.2f}{spread}"

    wall = targets.by_turn(samples, case, runner, lambda usage: usage.wall).values()
    return [
        f"  {runner}",
        str(len(wall)),
        median(lambda usage: usage.wall),
        f"{min(wall):.2f}..{max(wall):.2f}" if wall else "-",
        ratio(runner, about.runners[0]),
        ratio(about.stock, runner),
        median(lambda usage: usage.runner_cpu),
        median(lambda usage: usage.tree_cpu),
        median(lambda usage: usage.runner_memory / _MIB, 0),
        median(lambda usage: usage.tree_memory / _MIB, 0),
        median(lambda usage: usage.first_output),
    ]
