"""The pages of the index: index.html, one for each 500 runs after them, and the pointers."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from stepkit.formats.shorten import shorten
from stepkit.report.index import index_figures
from stepkit.report.index.duration_bars import bars
from stepkit.report.page import page_template

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepkit.report.index.duration_bars import Bars
    from stepkit.report.index.runs_json import RowJson, RunsJson

RUNS: Final = "runs.json"
MARK: Final = "stepkit.index/1"  # in a page: it may be replaced
PER_PAGE: Final = 500
POINTERS: Final = {"latest": "latest", "latest-passed": "latest_passed"}

_STYLE: Final = Path(__file__).with_name("index.css")
_VERDICTS: Final = (
    "failed", "passed", "tolerated", "flaky", "cancelled", "incomplete", "unreadable",
)  # fmt: skip
_LONGEST_TITLE: Final = 48  # characters in a row; the filters and runs.json have the whole
_MOST_FILTERS: Final = 200  # notebooks by which a page can be filtered; each costs a line of CSS


def names(runs: int) -> list[str]:
    """Return the names of the pages for that many runs."""
    pages = max(1, -(-runs // PER_PAGE))
    return ["index.html", *(f"index-{number}.html" for number in range(2, pages + 1))]


def render(runs: RunsJson) -> dict[str, bytes]:
    """Return the files of the index by name: runs.json, the pages and the pointers."""
    pages = names(len(runs["runs"]))
    entries = list(_entries(runs["runs"]))
    files = {RUNS: json.dumps(runs, separators=(",", ":"), ensure_ascii=False)}
    for number, name in enumerate(pages):
        files[name] = _page(
            runs, entries[number * PER_PAGE : (number + 1) * PER_PAGE], pages, number
        )
    for name, field in POINTERS.items():
        files[f"{name}/index.html"] = _pointer(name, runs, runs[field])  # type: ignore[literal-required]
    return {name: text.encode(errors="replace") for name, text in files.items()}


def _entries(rows: Sequence[RowJson]) -> Iterator[dict[str, Any]]:
    """Yield what the table shows of each row beside the row itself.

    A run that passed has bars for the last ones that passed: the others ended early.
    """
    durations: dict[str, list[int]] = {}
    found: list[dict[str, Any]] = []
    for row in reversed(rows):
        title = _title(row)
        drawn: Bars | None = None
        if row["duration_ms"] is not None and row["verdict"] in index_figures.PASSED:
            past = durations.setdefault(title, [])
            past.append(row["duration_ms"])
            drawn = bars(past[-index_figures.MOST_RECENT :])
        found.append(
            {
                "row": row,
                "title": shorten(title, _LONGEST_TITLE, ellipsis="…"),
                "bars": drawn,
                "link": _link(row),
                "verdict": _verdict(row),
                "why": _why(row),
            }
        )
    yield from reversed(found)


def _link(row: RowJson) -> str:
    return _address(row["report"] or row["path"])


def _address(path: str) -> str:
    """Return a path as a link leads to it, also one with bytes that are not UTF-8."""
    return quote(path, errors="surrogateescape")


def _title(row: RowJson) -> str:
    """Return what a run is called in the table: its notebooks, or its title."""
    names = [_name(n["name"], n["variant"]) for n in row["notebooks"]]
    if len(names) > 2:  # noqa: PLR2004 - more would not fit
        return f"{names[0]} and {len(names) - 1} more"
    return " and ".join(names) or row["title"] or row["path"]


def _name(name: str, variant: str) -> str:
    return f"{name} ({variant})" if variant else name


def _verdict(row: RowJson) -> str:
    if row["unreadable"]:
        return "unreadable"
    return "tolerated" if row["verdict"].startswith("passed with") else row["verdict"]


def _why(row: RowJson) -> str:
    notes = [row["unreadable"] or row["cause"]]
    notes += [f"{row[mark]} {mark}" for mark in ("flaky", "reused", "regressions") if row[mark]]
    return "; ".join(filter(None, notes))


def _page(runs: RunsJson, entries: Sequence[Any], pages: Sequence[str], number: int) -> str:
    shown = {(n["path"], n["variant"]) for e in entries for n in e["row"]["notebooks"]}
    keys = [(n["path"], n["variant"]) for n in runs["notebooks"]]
    filters = {key: f"n{i}" for i, key in enumerate(keys[:_MOST_FILTERS]) if key in shown}
    verdicts = [each for each in _VERDICTS if any(e["verdict"] == each for e in entries)]
    for entry in entries:
        own = ((n["path"], n["variant"]) for n in entry["row"]["notebooks"])
        entry["classes"] = " ".join([entry["verdict"], *(filters[k] for k in own if k in filters)])
    return page_template.render(
        "index.html.j2",
        rules=_rules([*filters.values(), *verdicts]),
        mark=MARK,
        targets=[*filters.values(), *verdicts],
        runs=runs,
        entries=entries,
        filters={
            filters[key]: _name(n["name"], n["variant"])
            for key, n in zip(keys, runs["notebooks"], strict=True)
            if key in filters
        },
        tone=_tone(runs),
        with_gpu=any(row["gpu_peak"] is not None for row in runs["runs"]),
        verdicts=verdicts,
        pages=pages,
        number=number,
        notebooks=[]
        if number
        else [
            {**_notebook(each), "filter": filters.get((each["path"], each["variant"]), "")}
            for each in runs["notebooks"]
        ],
        links={row["path"]: _link(row) for row in runs["runs"]},
        figures=[] if number else _figures(runs),
    )


def _tone(runs: RunsJson) -> str:
    """Return the worst of how the notebooks end now; without notebooks, how the last run ended."""
    if any(each["failing_path"] for each in runs["notebooks"]):
        return "failed"
    last = next((row["verdict"] for row in runs["runs"] if not row["unreadable"]), "idle")
    return "passed" if any(each["of"] for each in runs["notebooks"]) else last


def _rules(names: Sequence[str]) -> str:
    """Return the CSS of the index, which hides the other runs while the address ends in #NAME."""
    style = _STYLE.read_text(encoding="utf-8")
    if not names:
        return style
    hidden = ",".join(f"#{name}:target~.scroll tbody tr:not(.{name})" for name in names)
    chosen = ",".join(f'#{name}:target~.filters a[href="#{name}"]' for name in names)
    return f"{style}{hidden}{{display:none}}{chosen}{{color:var(--text);font-weight:620}}"


def _notebook(history: Any) -> dict[str, Any]:
    return {
        "history": history,
        "name": _name(history["name"], history["variant"]),
        "bars": bars(history["durations_ms"]),
    }


def _figures(runs: RunsJson) -> list[dict[str, Any]]:
    """Return the rows of the table of figures: a name, the target, and a value a period."""
    targets = runs["targets"]
    rows = (
        ("Runs that passed", "success", targets["success"], _percent),
        ("Mean duration", "mean_ms", targets["duration_ms"], page_template.duration),
        ("Median duration", "median_ms", None, page_template.duration),
        ("GPU utilisation", "gpu_utilisation", targets["gpu_utilisation"], _percent),
        (
            "From a failed run to the next that passed",
            "recovery_ms",
            targets["recovery_ms"],
            page_template.duration,
        ),
        ("Number of runs", "runs", None, str),
    )
    found = []
    for name, field, target, spell in rows:
        more = spell is _percent
        values = [each[field] for each in runs["figures"]]  # type: ignore[literal-required]
        found.append(
            {
                "name": name,
                "target": "" if target is None else f"{'≥' if more else '≤'} {spell(target)}",
                "values": [
                    {
                        "text": "-" if value is None else spell(value),
                        "met": None
                        if value is None or target is None
                        else (value >= target if more else value <= target),
                    }
                    for value in values
                ],
            }
        )
    return found


def _percent(value: float) -> str:
    return f"{value:g} %"


def _pointer(name: str, runs: RunsJson, path: str | None) -> str:
    row = next((row for row in runs["runs"] if path and row["path"] == path), None)
    target = row["report"] or row["path"] if row else ""
    return page_template.render(
        "pointer.html.j2",
        name=name,
        mark=MARK,
        row=row,
        link=_address(str(PurePosixPath("..", target))) if target else "",
    )
