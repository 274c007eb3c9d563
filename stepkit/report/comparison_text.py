"""A comparison in words: one sentence, the rows of a table, and what got worse than allowed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from stepkit.formats import sizes
from stepkit.formats.durations import elapsed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepkit.report.run_json_comparison import (
        ArtifactChangeJson,
        CellComparisonJson,
        ComparisonJson,
        NotebookComparisonJson,
        NumberJson,
    )

# Files that hold times or paths differ in each run.
_DIFFER_ALWAYS: Final = {"page", "notebook", "log", "tests", "coverage", "timeline"}
_ALWAYS_NEW: Final = {
    "manifest.json",
    "SHA256SUMS",
    "STEP_SUMMARY.md",
    "run.json",
    "report.html",
    "metadata.json",
}
_PROGRESS: Final = ".progress.json"
# What one sentence counts, or names where it is one, by the word of its row.
_COUNTED: Final = {
    "slower": "slower",
    "faster": "faster",
    "more memory": "more memory",
    "less memory": "less memory",
    "newly failing": "newly failing",
    "newly passing": "newly passing",
    "version": "versions changed",
    "file": "files changed",
}
_SHORT: Final = 12  # characters of a commit
_NONE: Final = "-"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One difference: ``what`` it is, its two values, and a word for it, such as ``slower``."""

    what: str
    before: str
    now: str
    change: str


def sum_up(comparison: ComparisonJson, verdict: str) -> str:
    """Return the comparison in one sentence, without a full stop at its end."""
    baseline = comparison["baseline"]
    if baseline is None:
        return comparison["message"]
    changed = rows(comparison)
    said = []
    if baseline["verdict"] != verdict:
        said.append(f"{verdict}, the baseline {baseline['verdict']}")
    for change, label in _COUNTED.items():
        names = [row.what for row in changed if row.change == change]
        if names:
            said.append(f"{label}: {names[0] if len(names) == 1 else len(names)}")
    return f"against {name_of(comparison)}: {'; '.join(said) or 'no difference beyond noise'}"


def name_of(comparison: ComparisonJson) -> str:
    """Return what people call the baseline: its run, or where it was read, and its commit."""
    baseline = comparison["baseline"]
    if baseline is None:
        return ""
    commit = f" ({baseline['commit'][:_SHORT]})" if baseline["commit"] else ""
    return (baseline["id"] or baseline["source"] or baseline["title"]) + commit


def rows(comparison: ComparisonJson) -> list[Row]:
    """Return what differs, in the order in which a reader wants it."""
    found = [*_commits(comparison), *_number("the whole run", comparison["duration"], "time")]
    for notebook in comparison["notebooks"] if _have_something_in_common(comparison) else ():
        found += _of_notebook(notebook)
    tests = comparison["tests"]
    found += [_test(name, "passing", "failing", "newly failing") for name in tests["newly_failing"]]
    found += [_test(name, "failing", "passing", "newly passing") for name in tests["newly_passing"]]
    found += [_test(name, "run", "skipped", "skipped") for name in tests["newly_skipped"]]
    found += [_test(name, "skipped", "run", "not skipped") for name in tests["no_longer_skipped"]]
    if tests["total_before"] != tests["total_now"]:
        totals = (
            str(_NONE if n is None else n) for n in (tests["total_before"], tests["total_now"])
        )
        before, now = totals
        found.append(Row(what="number of tests", before=before, now=now, change="tests"))
    for version in comparison["versions"]:
        of = f" ({version['notebook']})" if version["notebook"] else ""
        found.append(
            Row(
                what=version["name"] + of,
                before=version["before"] or _NONE,
                now=version["now"] or _NONE,
                change="version",
            )
        )
    for artifact in comparison["artifacts"]:
        if artifact["change"] == "changed" and _differs_always(artifact):
            continue
        spelled = (
            _NONE if size is None else sizes.spell(size, decimal=True)
            for size in (artifact["before"], artifact["now"])
        )
        before, now = spelled
        found.append(Row(what=artifact["path"], before=before, now=now, change="file"))
    return found


def _commits(comparison: ComparisonJson) -> Iterator[Row]:
    baseline = comparison["baseline"]
    before, now = baseline["commit"] if baseline else None, comparison["commit"]
    if before != now:
        yield Row(
            what="commit",
            before=before[:_SHORT] if before else _NONE,
            now=now[:_SHORT] if now else _NONE,
            change="commit",
        )


def _have_something_in_common(comparison: ComparisonJson) -> bool:
    """Return whether a notebook is in both runs, or one of the runs has no notebooks."""
    notebooks = comparison["notebooks"]
    gone = [notebook for notebook in notebooks if notebook["now"] is None]
    new = [notebook for notebook in notebooks if notebook["before"] is None]
    return not gone or not new or len(gone) + len(new) < len(notebooks)


def _differs_always(artifact: ArtifactChangeJson) -> bool:
    name = PurePosixPath(artifact["path"]).name
    always = name in _ALWAYS_NEW or name.endswith(_PROGRESS)
    return always or artifact["role"] in _DIFFER_ALWAYS


def regressions(
    comparison: ComparisonJson, *, slower: float | None, memory: float | None
) -> list[str]:
    """Say what took more than ``slower`` times the time of the baseline, or ``memory`` the memory.

    None allows any. What is within noise, or cannot be compared, is not a regression.
    """
    found = [*_regression("the whole run", comparison["duration"], slower, "time")]
    for notebook in comparison["notebooks"]:
        name = notebook["name"]
        found += _regression(name, notebook["duration"], slower, "time")
        for cell in notebook["cells"]:
            found += _regression(_cell_name(name, cell), cell["duration"], slower, "time")
        found += _regression(f"{name}, GPU memory", notebook["gpu_peak"], memory, "memory")
        found += _regression(f"{name}, memory", notebook["rss_peak"], memory, "memory")
    return found


def _regression(what: str, number: NumberJson, most: float | None, unit: str) -> Iterator[str]:
    before, now, ratio = number["before"], number["now"], number["ratio"]
    if most is None or number["change"] != "worse" or ratio is None or ratio <= most:
        return
    factor, was = _spell_ratio(ratio), _spell(before, unit)
    yield (
        f"{what}: {_spell(now, unit)}, {factor} times the {was} of the baseline "
        f"({most:g} is allowed)"
    )


def _of_notebook(notebook: NotebookComparisonJson) -> Iterator[Row]:
    name = notebook["name"] + (f" [{notebook['variant']}]" if notebook["variant"] else "")
    if notebook["before"] != notebook["now"]:
        yield Row(
            what=name,
            before=notebook["before"] or "not in the run",
            now=notebook["now"] or "not in the run",
            change="status",
        )
    yield from _number(name, notebook["duration"], "time")
    yield from _number(f"{name}, peak of GPU memory", notebook["gpu_peak"], "memory")
    yield from _number(f"{name}, peak of memory", notebook["rss_peak"], "memory")
    for cell in notebook["cells"]:
        what = _cell_name(name, cell)
        if cell["change"] in {"slower", "faster"}:
            yield from _number(what, cell["duration"], "time")
        else:
            before, now = cell["before"] or _NONE, cell["now"] or _NONE
            yield Row(what=what, before=before, now=now, change=cell["change"])
    for rule in notebook["rules_new"]:
        yield Row(what=f"{name}, rule {rule}", before=_NONE, now="applied", change="rule")
    for rule in notebook["rules_gone"]:
        yield Row(what=f"{name}, rule {rule}", before="applied", now=_NONE, change="rule")


def _cell_name(notebook: str, cell: CellComparisonJson) -> str:
    number = f"cell {cell['number']}" if cell["number"] else "injected cell"
    return f"{notebook}, {number} ({cell['title']})"


def _number(what: str, number: NumberJson, unit: str) -> Iterator[Row]:
    words = {
        "time": {"worse": "slower", "better": "faster"},
        "memory": {"worse": "more memory", "better": "less memory"},
    }[unit]
    if change := words.get(number["change"]):
        ratio = f" ({_spell_ratio(number['ratio'])}x)" if number["ratio"] else ""
        before, now = _spell(number["before"], unit), _spell(number["now"], unit) + ratio
        yield Row(what=what, before=before, now=now, change=change)


def _test(name: str, before: str, now: str, change: str) -> Row:
    return Row(what=f"test {name}", before=before, now=now, change=change)


def _spell(value: int | None, unit: str) -> str:
    if value is None:
        return _NONE
    if unit == "memory":
        return sizes.spell(value)
    return f"{value} ms" if value < 1000 else elapsed(value / 1000)  # noqa: PLR2004


def _spell_ratio(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"  # noqa: PLR2004


def table(found: Sequence[Row]) -> list[str]:
    """Return the rows as lines of plain text, in columns."""
    heads = Row(what="", before="before", now="now", change="")
    lines = [(row.what, row.before, row.now, row.change) for row in (heads, *found)]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    return [
        "  ".join(
            (text.ljust(width) for text, width in zip(line, (*widths, 0), strict=True))
        ).rstrip()
        for line in lines
    ]


def page(comparison: ComparisonJson) -> list[str]:
    """Return the whole comparison as lines of plain text."""
    found = rows(comparison)
    notes = [f"note: {note}" for note in comparison["notes"]]
    regressed = [f"regression: {sentence}" for sentence in comparison["regressions"]]
    parts = [[comparison["message"]], table(found) if found else [], [*notes, *regressed]]
    return "\n\n".join("\n".join(part) for part in parts if part).split("\n")
