"""STEP_SUMMARY.md from the record of a run alone, within the size that GitHub shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stepkit.report.summary import notebook_sections, run_sections
from stepkit.report.summary.file_links import FileLinks
from stepkit.report.summary.first_screen import cause_section, first_screen
from stepkit.report.summary.markdown_text import count, folded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.report.run_json import RunJson

MOST_BYTES: Final = 1_000_000  # GitHub drops a whole summary beyond 1 MiB

_MOST_UNFOLDED: Final = 3  # notebooks; a page of more is not read in a minute


@dataclass(frozen=True)
class _Section:
    """Lines of the page; what has the lowest ``rank`` is left out last."""

    lines: list[str]
    rank: int
    what: str


def render(run: RunJson, *, files_at: str | None = "", report: str = "") -> str:
    """Return the summary of ``run`` in at most :data:`MOST_BYTES` bytes.

    ``files_at`` is the address of the directory of run.json: ``""`` for a summary that lies there,
    None for one whose reader cannot open files. ``report`` is the name of report.html there, ``""``
    if there is none.
    """
    sections = [s for s in _sections(run, FileLinks(files_at), report) if s.lines]
    kept, left_out = _fitting(sections)
    pages = ["\n".join(section.lines) for section in kept]
    if left_out:
        names = ", ".join(dict.fromkeys(section.what for section in left_out))
        parts = count(len(left_out), "part")
        pages.append(f"GitHub shows 1 MiB: {parts} of this summary ({names}) were left out.")
    return "\n\n".join(pages) + "\n"


def _sections(run: RunJson, links: FileLinks, report: str) -> Iterator[_Section]:
    notebooks = run["notebooks"]
    yield _Section(first_screen(run, links, report), 0, "verdict")
    yield _Section(cause_section(run, links), 1, "cause")
    if len(notebooks) > 1:
        yield _Section(list(notebook_sections.several(notebooks, links)), 2, "table of notebooks")
    many = len(notebooks) > _MOST_UNFOLDED
    for notebook in notebook_sections.worst_first(notebooks):
        lines = notebook_sections.one(run, notebook, links)
        if lines and many and notebook["status"] in {"passed", "reused"}:
            lines = list(folded(notebook_sections.summed_up(notebook), lines))
        yield _Section(lines, 6, "notebooks")
    for suite in run["tests"]:
        yield _Section(run_sections.tests(run, suite, links), 3, "tests")
    yield _Section(run_sections.comparison(run), 5, "comparison")
    yield _Section(run_sections.steps(run), 4, "steps")
    yield _Section(run_sections.files(run, links), 5, "files")
    yield _Section(run_sections.versions(run), 5, "versions")


def _fitting(sections: list[_Section]) -> tuple[list[_Section], list[_Section]]:
    """Return the sections that fit, in their order, and the others."""
    left = MOST_BYTES - 1000
    kept = set()
    for place, section in sorted(enumerate(sections), key=lambda pair: pair[1].rank):
        size = sum(len(line.encode(errors="replace")) + 1 for line in section.lines) + 1
        if size <= left:
            left -= size
            kept.add(place)
    places = range(len(sections))
    return [sections[n] for n in places if n in kept], [
        sections[n] for n in places if n not in kept
    ]
