"""The copy of a notebook that a page shows: with anchors, one format per output, and a title."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stepkit.html import outputs
from stepkit.html.join_streams import join_streams
from stepkit.notebook import cell_numbers, failure_note
from stepkit.notebook.cell_numbers import is_run, tags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.html.formulas import Formulas

KEY: Final = outputs.KEY
FIRST_ERROR: Final = "first-error"  # the anchor of the first cell that failed

_HEADLINE: Final = "papermill-error-cell-tag"
_PAPERMILLS: Final = ("An Exception was encountered", "Execution using papermill encountered")
_HEADING: Final = re.compile(r" {0,3}(#{1,6})(?!#)[ \t]*(.*)")
_UNDERLINE: Final = re.compile(r" {0,3}(=+|-+)[ \t]*")
_FENCE: Final = re.compile(r" {0,3}(```|~~~)")
_RAW_H1: Final = re.compile(r"<[hH]1[\s>]")


@dataclass(frozen=True, kw_only=True)
class Page:
    """What the template renders: the copy of the notebook, and HTML to put above its cells."""

    notebook: Any
    top: str


def prepare(nb: Any, *, name: str) -> Page:
    """Return the copy of ``nb`` that the page shows; its title is ``name`` if nb has none."""
    copy = type(nb)(nb)
    copy["metadata"] = type(nb)(nb["metadata"])
    copy["metadata"].pop("widgets", None)
    copy["cells"] = []
    for cell, number in zip(nb["cells"], cell_numbers.number_cells(nb), strict=True):
        copy["cells"].append(_prepare_cell(cell, number))
    headings = [
        heading
        for cell in nb["cells"]
        if cell["cell_type"] == "markdown" and not _is_headline(cell)
        for heading in _find_headings(cell["source"])
    ]
    title = nb["metadata"].get("title") or (headings[0][1] if headings else "") or name
    copy["metadata"]["title"] = str(title)
    has_h1 = any(level == 1 for level, _ in headings)
    top = "" if has_h1 else f'<h1 class="stepkit-title">{html.escape(str(title))}</h1>\n'
    banner, failed = _make_banner(copy["cells"], why=_find_why(nb))
    if failed:  # it says what papermill's headlines say
        copy["cells"] = [cell for cell in copy["cells"] if not _is_headline(cell)]
    return Page(notebook=copy, top=top + banner)


def _is_headline(cell: Any) -> bool:
    return cell["cell_type"] == "markdown" and _HEADLINE in tags(cell)


def _find_why(nb: Any) -> str:
    """Return why the run failed, in a sentence, or ``""`` if only the cell's error says it."""
    if why := failure_note.read(nb):
        return why
    headlines = [_strip_markdown(cell["source"]) for cell in nb["cells"] if _is_headline(cell)]
    told = [line for line in headlines if not line.startswith(_PAPERMILLS)]
    return told[0] if told else ""


def _prepare_cell(cell: Any, number: int) -> Any:
    """Return a copy of ``cell``; ``number`` is 0 for a cell that a verdict does not count."""
    copy = type(cell)(cell)
    copy["metadata"] = type(cell)(cell["metadata"])
    alt = copy["metadata"].pop("alt", "")
    jupyter = copy["metadata"].get("jupyter")
    if isinstance(jupyter, dict) and jupyter.get("source_hidden"):
        copy["metadata"]["transient"] = {"remove_source": True}  # what TagRemovePreprocessor sets
    copy[KEY] = {
        "anchor": f"cell-{number}" if number else "",
        "number": number,
        "alt": alt,
        "label": _label(cell, number),
        "tolerated": html.escape(_why_tolerated(cell) or ""),
    }
    copy.pop("type", None)  # templates do not escape it, nor the execution count
    if cell["cell_type"] == "code":
        count = cell.get("execution_count")
        copy["execution_count"] = count if type(count) is int else None
        copy["outputs"] = list(join_streams(cell["outputs"]))
    return copy


def prepare_outputs(cell: Any, formulas: Formulas, *, trusted: bool) -> None:
    """Replace the outputs of a cell of the copy by those that the page shows.

    It is called in the order of the page, which the formulas need.
    """
    page = cell[KEY]
    name = f"cell {page['number']}" if page["number"] else "a cell without a number"
    alt = page.pop("alt", None)
    if cell["cell_type"] != "code" or alt is None:  # or it was called before
        return
    cell["outputs"] = [
        outputs.prepare_output(
            output,
            outputs.Place(cell=name, output=place, alt=alt, trusted=trusted, formulas=formulas),
        )
        for place, output in enumerate(cell["outputs"], 1)
    ]


def _label(cell: Any, number: int) -> str:
    """Name a code cell as messages about the run do."""
    found = tags(cell) if cell["cell_type"] == "code" else []
    if cell_numbers.INJECTED_PARAMETERS in found:
        return "injected parameters"
    if cell_numbers.INJECTED_BY_RULE in found:
        return "injected by a rule"
    skipped = ", skipped by a rule" if cell_numbers.SKIPPED_BY_RULE in found else ""
    return f"cell {number}{skipped}" if number else ""


def _find_headings(source: str) -> Iterator[tuple[int, str]]:
    """Yield the level and the words of each heading in a Markdown cell."""
    before, fenced = "", False
    for line in source.splitlines():
        fenced ^= bool(_FENCE.match(line))
        heading = None if fenced else _HEADING.match(line)
        if heading and (words := _strip_markdown(heading[2].rstrip(" \t#"))):
            yield len(heading[1]), words
        elif not fenced and _UNDERLINE.fullmatch(line) and (words := _strip_markdown(before)):
            yield (1 if "=" in line else 2), words
        elif _RAW_H1.search(line) and not fenced:
            yield 1, _strip_markdown(line)
        before = line if not fenced else ""


def _strip_markdown(line: str) -> str:
    words = re.sub(r"!?\[([^\[\]]*)\]\([^()]*\)", r"\1", line)
    words = re.sub(r"<[^<>]*>", "", words)
    return " ".join(html.unescape(re.sub(r"[*`]|(?<!\w)_|_(?!\w)", "", words)).split())


def _make_banner(cells: list[Any], *, why: str) -> tuple[str, bool]:
    """Return the line that counts failed cells, or else tolerated errors, with links to them.

    ``why`` is the reason of a failed run, which follows the count. The cells that the line links to
    get their anchor here. The second value says whether the run failed.
    """
    failed = [cell for cell in cells if _has_failed(cell)]
    if not failed and not why:
        tolerated = [cell for cell in cells if _why_tolerated(cell) is not None]
        return _make_tolerated_banner(tolerated), False
    not_run = sum(1 for cell in cells if is_run(cell) and _status(cell) == "pending")
    count = f"{len(failed)} cell{'s' if len(failed) > 1 else ''} failed" if failed else "Failed"
    rest = f", {not_run} did not run" if not_run else ""
    link = ""
    if failed:
        failed[0][KEY]["error_anchor"] = FIRST_ERROR
        number = failed[0][KEY]["number"]
        name = f"cell {number}" if number else "a cell without a number"
        link = f' <a href="#{FIRST_ERROR}">First error: {name}</a>'
    code = re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(why, quote=False))
    because = f"<p>{code}</p>" if why else ""
    bar = f"<strong>{count}{rest}.</strong>{link}{because}"
    return f'<div class="stepkit-bar" role="alert">{bar}</div>\n', True


def _make_tolerated_banner(cells: list[Any]) -> str:
    """Return the line that counts the tolerated errors, with links to their cells."""
    links = []
    for place, cell in enumerate(cells, 1):
        cell[KEY]["error_anchor"] = f"tolerated-{place}"
        number = cell[KEY]["number"]
        name = f"cell {number}" if number else "a cell without a number"
        links.append(f'<a href="#tolerated-{place}">{name}</a>')
    if not links:
        return ""
    count = f"{len(links)} tolerated error{'s' if len(links) > 1 else ''}"
    return (
        f'<div class="stepkit-bar stepkit-tolerated" role="status"><strong>Passed with {count}:'
        f"</strong> {', '.join(links)}</div>\n"
    )


def _why_tolerated(cell: Any) -> str | None:
    """Return the reason that the run wrote into a cell whose error was tolerated."""
    metadata = cell["metadata"].get("stepkit")
    reason = metadata.get("tolerated") if isinstance(metadata, dict) else None
    if not isinstance(reason, str) or cell["cell_type"] != "code":
        return None
    return reason.strip() or "no reason was given"


def _has_failed(cell: Any) -> bool:
    if cell["cell_type"] != "code" or _why_tolerated(cell) is not None:
        return False
    if (status := _status(cell)) is not None:
        return status == "failed"
    errors = any(output["output_type"] == "error" for output in cell["outputs"])
    return errors and "raises-exception" not in tags(cell)


def _status(cell: Any) -> str | None:
    """Return the status that papermill, or stepkit in its place, gave to a cell."""
    metadata = cell["metadata"].get("papermill")
    status = metadata.get("status") if isinstance(metadata, dict) else None
    return str(status) if status else None
