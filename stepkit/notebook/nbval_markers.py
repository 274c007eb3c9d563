"""The markers of nbval in the comments and tags of a cell."""

from __future__ import annotations

from typing import Any, Final, Literal

from stepkit.notebook.cell_numbers import tags

Marker = Literal["skip", "ignore-output", "check-output", "raises-exception"]

RULE: Final = "nbval-markers"  # the name under which a report shows what they do

_MARKERS: Final[tuple[Marker, ...]] = ("skip", "ignore-output", "check-output", "raises-exception")
_BY_COMMENT: Final[dict[str, Marker]] = {
    "PYTEST_VALIDATE_IGNORE_OUTPUT": "ignore-output",
    **{f"NBVAL_{marker.upper().replace('-', '_')}": marker for marker in _MARKERS},
}
_BY_TAG: Final[dict[str, Marker]] = {f"nbval-{marker}": marker for marker in _MARKERS}


def markers(cell: Any) -> set[Marker]:
    """Return the markers of a code cell: comments on their own line, and tags."""
    lines = (line.strip() for line in cell["source"].splitlines() if "#" in line)
    comments = (line.lstrip("#").strip() for line in lines if line.startswith("#"))
    found = {_BY_COMMENT[comment] for comment in comments if comment in _BY_COMMENT}
    return found | {_BY_TAG[tag] for tag in tags(cell) if tag in _BY_TAG}
