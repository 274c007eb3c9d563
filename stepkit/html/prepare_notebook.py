"""The notebook as a page shows it: a copy with anchors, one form for each output, and a title."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stepkit.html import ansi, fragments, outputs

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY: Final = outputs.KEY
FIRST_ERROR: Final = "first-error"  # the anchor of the first cell that failed
_INJECTED: Final = {"injected-parameters", "injected-by-stepkit"}

_HEADING: Final = re.compile(r" {0,3}(#{1,6})(?!#)[ \t]*(.*)")
_FENCE: Final = re.compile(r" {0,3}(```|~~~)")
_RAW_H1: Final = re.compile(r"<h1[\s>]", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Page:
    """What goes into the template."""

    notebook: Any
    top: str


def prepared(nb: Any, *, name: str, trusted: bool) -> Page:
    """Return what the page shows of ``nb``, which is not changed."""
    copy = type(nb)(nb)
    copy["metadata"] = type(nb)(nb["metadata"])
    copy["metadata"].pop("widgets", None)
    copy["cells"] = [
        _cell(cell, number, trusted=trusted) for cell, number in _numbered(nb["cells"])
    ]
    headings = list(_headings(nb["cells"]))
    title = nb["metadata"].get("title") or (headings[0][1] if headings else "") or name
    copy["metadata"]["title"] = str(title)
    has_h1 = any(level == 1 for level, _ in headings)
    top = "" if has_h1 else f'<h1 class="stepkit-title">{html.escape(str(title))}</h1>\n'
    return Page(notebook=copy, top=top + _bar(copy["cells"]))


def _numbered(cells: list[Any]) -> Iterator[tuple[Any, int]]:
    """Yield each cell with its number: as a verdict counts, 0 for what it does not count."""
    number = 0
    for cell in cells:
        counted = _runs(cell) and not _INJECTED & set(_tags(cell))
        number += counted
        yield cell, number if counted else 0


def _runs(cell: Any) -> bool:
    runs = cell["cell_type"] == "code" and cell["source"].strip()
    return bool(runs) and "skip-execution" not in _tags(cell)


def _tags(cell: Any) -> list[str]:
    tags: list[str] = cell["metadata"].get("tags", [])
    return tags


def _cell(cell: Any, number: int, *, trusted: bool) -> Any:
    copy = type(cell)(cell)
    copy["metadata"] = type(cell)(cell["metadata"])
    alt = copy["metadata"].pop("alt", "")
    jupyter = copy["metadata"].get("jupyter")
    if isinstance(jupyter, dict) and jupyter.get("source_hidden"):
        copy["metadata"]["transient"] = {"remove_source": True}  # what TagRemovePreprocessor sets
    copy[KEY] = {
        "anchor": f"cell-{number}" if number else "",
        "number": number,
        "tolerated": html.escape(_reason(cell) or ""),
    }
    copy.pop("type", None)  # a template shows it as it is
    if cell["cell_type"] == "code":
        copy["execution_count"] = _count(cell.get("execution_count"))
        called = f"cell {number}" if number else "a cell without a number"
        copy["outputs"] = [
            outputs.shown(
                output, outputs.Place(cell=called, output=place, alt=alt, trusted=trusted)
            )
            for place, output in enumerate(ansi.joined(cell["outputs"]), 1)
        ]
    return copy


def _count(given: Any) -> int | None:
    """Return an execution count, which a template shows as it is: no text, no list."""
    return given if isinstance(given, int) and not isinstance(given, bool) else None


def _headings(cells: list[Any]) -> Iterator[tuple[int, str]]:
    """Yield level and words of each heading in the Markdown cells."""
    for cell in cells:
        if cell["cell_type"] == "markdown" and "papermill-error-cell-tag" not in _tags(cell):
            yield from _headings_in(cell["source"])


def _headings_in(source: str) -> Iterator[tuple[int, str]]:
    before, fenced = "", False
    for line in source.splitlines():
        fenced ^= bool(_FENCE.match(line))
        heading = None if fenced else _HEADING.match(line)
        words = fragments.plain(heading[2].rstrip(" \t#") if heading else before)
        if heading and words:
            yield len(heading[1]), words
        elif before.strip() and not fenced and re.fullmatch(r" {0,3}(=+|-+)[ \t]*", line) and words:
            yield (1 if "=" in line else 2), words
        elif _RAW_H1.search(line) and not fenced:
            yield 1, fragments.plain(line)
        before = line if not fenced else ""


def _bar(cells: list[Any]) -> str:
    """Return the line that tells of a failed notebook, linked to the first cell that failed."""
    failed = [cell for cell in cells if _failed(cell)]
    if not failed:
        return _bar_of_tolerated([cell for cell in cells if _reason(cell) is not None])
    failed[0][KEY]["error_anchor"] = FIRST_ERROR
    number = failed[0][KEY]["number"]
    missed = sum(1 for cell in cells if _runs(cell) and _status(cell) == "pending")
    name = f"cell {number}" if number else "a cell without a number"
    count = f"{len(failed)} cell{'s' if len(failed) > 1 else ''} failed"
    rest = f", {missed} did not run" if missed else ""
    return (
        f'<div class="stepkit-bar" role="alert"><strong>{count}{rest}.</strong> '
        f'<a href="#{FIRST_ERROR}">First error: {name}</a></div>\n'
    )


def _bar_of_tolerated(cells: list[Any]) -> str:
    """Return the line that counts errors which the run was told to pass, with links to them."""
    links = []
    for place, cell in enumerate(cells, 1):
        told = cell[KEY]
        told["error_anchor"] = f"tolerated-{place}"
        name = f"cell {told['number']}" if told["number"] else "a cell without a number"
        links.append(f'<a href="#tolerated-{place}">{name}</a>')
    if not links:
        return ""
    count = f"{len(links)} tolerated error{'s' if len(links) > 1 else ''}"
    return (
        f'<div class="stepkit-bar stepkit-tolerated" role="status"><strong>Passed with {count}:'
        f"</strong> {', '.join(links)}</div>\n"
    )


def _reason(cell: Any) -> str | None:
    """Return why a cell's error was tolerated, as the run wrote it into the notebook."""
    told = cell["metadata"].get("stepkit")
    reason = told.get("tolerated") if isinstance(told, dict) else None
    if not isinstance(reason, str) or cell["cell_type"] != "code":
        return None
    return reason.strip() or "no reason was given"


def _failed(cell: Any) -> bool:
    if cell["cell_type"] != "code" or _reason(cell) is not None:
        return False
    if (status := _status(cell)) is not None:
        return status == "failed"
    errors = any(output["output_type"] == "error" for output in cell["outputs"])
    return errors and "raises-exception" not in _tags(cell)


def _status(cell: Any) -> str | None:
    """Return what papermill, or stepkit in its place, says of a cell."""
    told = cell["metadata"].get("papermill")
    status = told.get("status") if isinstance(told, dict) else None
    return str(status) if status else None
