"""Several notebooks of a run: their pages, their table, and a grid of notebooks and variants."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stepkit.formats.shorten import shorten
from stepkit.report.page import page_limits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stepkit.report.run_json_notebook import NotebookJson

MOST_PAGES: Final = 100
_LONGEST_TEXT: Final = 400
_LONGEST_NAME: Final = 80  # characters of a notebook in a file name


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A notebook in a few words, and the file name of its page, ``""`` if it has none."""

    name: str
    variant: str
    status: str
    message: str
    cells: str
    duration_ms: int | None
    gpu_peak: int | None
    rss_peak: int | None
    gpu_hours: float | None
    gpu_idle: float | None
    cpu_fallback: float | None
    page: str


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Notebooks by variant: each row is a name, and an entry or None for each variant."""

    variants: list[str]
    rows: list[tuple[str, list[Entry | None]]]


def page_names(notebooks: Sequence[NotebookJson], name: str) -> Mapping[int, str]:
    """Return the file names of notebooks' pages by index; none for a single notebook.

    ``name`` is that of the run's page. Of very many notebooks, those that failed come first.
    """
    if len(notebooks) < 2:  # noqa: PLR2004
        return {}
    stem = name.removesuffix(".html")
    chosen = sorted(range(len(notebooks)), key=lambda n: page_limits.rank(notebooks[n]["status"]))
    found: dict[int, str] = {}
    taken: set[str] = set()
    for index in sorted(chosen[:MOST_PAGES]):
        notebook = notebooks[index]
        words = f"{notebook['name']}_{notebook['variant']}".rstrip("_")
        safe = re.sub(r"[^\w.-]+", "-", words, flags=re.ASCII).strip(".-")
        slug = safe[:_LONGEST_NAME] or "notebook"
        own, number = slug, 1
        while own.lower() in taken:
            number += 1
            own = f"{slug}-{number}"
        taken.add(own.lower())
        found[index] = f"{stem}-{own}.html"
    return found


def entries(notebooks: Sequence[NotebookJson], name: str) -> list[Entry]:
    """Return all notebooks with their pages: those that did not pass first."""
    names = page_names(notebooks, name)
    found = [_entry(notebook, names.get(index, "")) for index, notebook in enumerate(notebooks)]
    return sorted(found, key=lambda entry: page_limits.rank(entry.status))


def _entry(notebook: NotebookJson, page: str) -> Entry:
    ran, total = notebook["cells_run"], notebook["cells_total"]
    return Entry(
        name=shorten(notebook["name"], _LONGEST_TEXT),
        variant=shorten(notebook["variant"], _LONGEST_TEXT),
        status=notebook["status"],
        message=shorten(notebook["message"], _LONGEST_TEXT),
        cells="" if total is None else f"{ran or 0} of {total}",
        duration_ms=notebook["duration_ms"],
        gpu_peak=notebook["gpu_peak"],
        rss_peak=notebook["rss_peak"],
        gpu_hours=notebook["gpu_hours"],
        gpu_idle=notebook["gpu_idle"],
        cpu_fallback=notebook["cpu_fallback"],
        page=page,
    )


def grid(notebooks: Sequence[NotebookJson], name: str) -> Grid | None:
    """Return notebooks by variant, None where there is one variant, or one notebook has two."""
    variants = list(dict.fromkeys(n["variant"] for n in notebooks))
    names = page_names(notebooks, name)
    by_place = {
        (notebook["name"], notebook["variant"]): _entry(notebook, names.get(index, ""))
        for index, notebook in enumerate(notebooks)
    }
    if len(variants) < 2 or len(by_place) < len(notebooks):  # noqa: PLR2004
        return None
    titles = dict.fromkeys(n["name"] for n in notebooks)
    rows = [
        (shorten(title, _LONGEST_TEXT), [by_place.get((title, variant)) for variant in variants])
        for title in titles
    ]
    return Grid(variants=[shorten(v, _LONGEST_TEXT) for v in variants], rows=rows)
