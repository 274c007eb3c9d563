"""What cudf.pandas and cuml.accel ran on the CPU, in a notebook's section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepkit.formats import fallback_text
from stepkit.formats.durations import elapsed
from stepkit.report import cpu_fallback_text
from stepkit.report.summary.markdown_text import escape, paragraphs, table, title

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.report.run_json_notebook import NotebookJson
    from stepkit.report.summary.file_links import FileLinks

_MOST: Final = 5  # cells


def share(notebook: NotebookJson) -> str:
    """Spell the share of a notebook's calls that ran on the CPU, ``""`` if none was counted."""
    found = notebook["cpu_fallback"]
    return "" if found is None else fallback_text.percent(found)


def lines(notebook: NotebookJson, links: FileLinks) -> list[str]:
    """Return a sentence, and a table of the cells that spent most time on the CPU."""
    text = cpu_fallback_text.spelled(notebook)
    if not text:
        return []
    cells = cpu_fallback_text.cells_on_cpu(notebook)
    more = (
        f" The table has the {_MOST} of {len(cells)} cells that took longest."
        if len(cells) > _MOST
        else ""
    )
    return paragraphs(
        [f"cudf.pandas and cuml.accel: {escape(text)}.{more}"],
        _cells(notebook, links) if cells else (),
    )


def _cells(notebook: NotebookJson, links: FileLinks) -> Iterator[str]:
    rows = []
    for cell in cpu_fallback_text.cells_on_cpu(notebook)[:_MOST]:
        calls, number = cell["cpu_fallback_calls"], cell["number"]
        if calls:
            why = next((each["why"] for each in calls["functions"] if each["why"]), "")
            rows.append(
                (
                    links.cell(f"cell {number}" if number else "injected cell", notebook, cell),
                    fallback_text.percent(cell["cpu_fallback"] or 0),
                    f"{calls['cpu_calls']} of {calls['calls']}",
                    elapsed(calls["cpu_ms"] / 1000),
                    ", ".join(title(name) for name in cpu_fallback_text.names(cell)),
                    escape(why),
                )
            )
    yield from table(("cell", "on the CPU", "calls", "time there", "functions", "why"), rows)
