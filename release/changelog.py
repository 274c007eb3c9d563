"""What CHANGELOG.md says: what is unreleased on top, below it one section for each release."""

from __future__ import annotations

import re
from datetime import date
from itertools import pairwise
from typing import Final

VERSION: Final = re.compile(r"\d+\.\d+\.\d+")
UNRELEASED: Final = "Unreleased"

_TITLE: Final = re.compile(r"(?P<version>\d+\.\d+\.\d+) - (?P<day>\d{4}-\d\d-\d\d)")


def problems(text: str, version: str) -> list[str]:
    """Return what is wrong with the titles of sections, where the newest release is ``version``."""
    first, *releases = [title for title, _ in _parts(text, "## ")[1:]]
    if first != UNRELEASED:
        return [f"CHANGELOG.md: the first section is {first!r}, not {UNRELEASED!r}"]
    found = {title: _TITLE.fullmatch(title) for title in releases}
    wrong = [
        f"CHANGELOG.md: {title!r} is not a version with its day, such as 0.2.0 - 2026-11-30"
        for title, parts in found.items()
        if parts is None or not _is_day(parts["day"])
    ]
    parsed = [(number(parts["version"]), parts["day"]) for parts in found.values() if parts]
    wrong += [
        f"CHANGELOG.md: {'.'.join(map(str, newer))} of {day} stands above a newer release"
        for (newer, day), (older, day_before) in pairwise(parsed)
        if newer <= older or day < day_before
    ]
    if not releases or not releases[0].startswith(f"{version} - "):
        newest = releases[0] if releases else "missing"
        wrong.append(f"CHANGELOG.md: the newest release is {newest}, stepkit is {version}")
    return wrong


def unreleased(text: str) -> int:
    """Return how many entries no release has yet."""
    return dict(_parts(text, "## "))[UNRELEASED].count("\n- ")


def with_release(text: str, version: str, day: str) -> str:
    """Return ``text`` with all that is unreleased in the section of ``version``, of this day.

    A section of that version which is there, as its tag is not, keeps its entries.
    """
    (_, before), (_, waiting), *released = _parts(text, "## ")
    same = [body for title, body in released if title.startswith(f"{version} - ")]
    kinds: dict[str, str] = {}
    for body in (*same, waiting):
        for kind, entries in _parts(body, "### ")[1:]:
            kinds[kind] = kinds.get(kind, "") + entries.strip("\n") + "\n"
    merged = "".join(f"\n### {kind}\n\n{entries}" for kind, entries in kinds.items())
    others = [(title, body) for title, body in released if body not in same]
    sections = [(UNRELEASED, "\n\n"), (f"{version} - {day}", f"\n{merged}\n"), *others]
    return before + "".join(f"## {title}{body}" for title, body in sections)


def number(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, to compare it."""
    return tuple(map(int, version.split(".")))


def _parts(text: str, mark: str) -> list[tuple[str, str]]:
    """Split at the titles that ``mark`` begins; the first part has the title ""."""
    before, *found = re.split(rf"^{mark}", text, flags=re.MULTILINE)
    lines = [part.partition("\n") for part in found]
    return [("", before), *((title, end + body) for title, end, body in lines)]


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
