"""The tables that people read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks import figures

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.figures import Spread
    from benchmarks.record import Record
    from benchmarks.targets import Result

_MIB: Final = 1 << 20
_FIGURES: Final = ("CPU s", "with kernel", "MiB", "with kernel", "first line s")


def lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield ``rows`` as aligned columns, the first one to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join([row[0].ljust(widths[0]), *cells[1:]]).rstrip()


def of_record(record: Record) -> Iterator[str]:
    """Yield everything a record holds: the machine, each case, the proofs, the targets."""
    yield f"{record.date}  {', '.join(f'{k} {v}' for k, v in record.machine.items())}"
    yield ", ".join(f"{name} {version}" for name, version in record.versions.items())
    for name in dict.fromkeys(sample.case for sample in record.samples):
        yield ""
        yield from _case(record, name)
    for name, why in record.skipped.items():
        yield f"\nnot measured: {name}: {why}"
    yield f"\nload average {record.load[0]:.1f} before, {record.load[1]:.1f} after"
    for proof in record.proofs:
        yield f"\n{proof.name}, {proof.runner}: {proof.text}"
    yield from ("", *_targets(record.targets))


def _case(record: Record, name: str) -> Iterator[str]:
    runs = [sample for sample in record.samples if sample.case == name]
    names = list(dict.fromkeys(sample.runner for sample in runs))
    about = record.cases[name]
    names.sort(key=about.runners.index)
    ratios = (f"/ {about.runners[0]}", f"{about.stock} /")
    head = ("runner", "n", "wall s", "min..max", *ratios, *_FIGURES)
    yield f"{name}: {about.what}"
    yield from lines([head, *(_row(record, name, runner) for runner in names)])
    for sample in runs:
        if sample.problem:
            yield f"  {sample.runner}, turn {sample.turn + 1}: not counted: {sample.problem}"


def _row(record: Record, case: str, runner: str) -> list[str]:
    samples, about = record.samples, record.cases[case]

    def of(figure: figures.Figure) -> Spread | None:
        return figures.of(samples, case, runner, figure)

    def ratio(over: str, under: str) -> Spread | None:
        return figures.ratio(samples, case, over, under, lambda usage: usage.wall)

    wall = of(lambda usage: usage.wall)
    return [
        f"  {runner}",
        str(wall.count if wall else 0),
        _median(wall),
        f"{wall.low:.2f}..{wall.high:.2f}" if wall else "-",
        _ratio(ratio(runner, about.runners[0])),
        _ratio(ratio(about.stock, runner)),
        _median(of(lambda usage: usage.runner_cpu)),
        _median(of(lambda usage: usage.tree_cpu)),
        _median(of(lambda usage: usage.runner_memory / _MIB), 0),
        _median(of(lambda usage: usage.tree_memory / _MIB), 0),
        _median(of(lambda usage: usage.first_output)),
    ]


def _targets(results: Sequence[Result]) -> Iterator[str]:
    measured = [result for result in results if result.verdict != "not measured"]
    rows = [(r.text, r.wanted, r.measured, r.verdict) for r in measured]
    if rows:
        yield from lines([("target", "wanted", "measured (median)", ""), *rows])
    if missing := len(results) - len(measured):
        yield f"{missing} of {len(results)} targets were not measured"


def _median(value: Spread | None, digits: int = 2) -> str:
    return f"{value.median:.{digits}f}" if value else "-"


def _ratio(value: Spread | None) -> str:
    if value is None or value.count == 1:
        return _median(value)
    return f"{value.median:.2f} ({value.low:.2f}..{value.high:.2f})"
