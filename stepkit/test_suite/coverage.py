"""Coverage reports in Cobertura's XML: the share of lines that the tests ran."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

MAX_BYTES: Final = 200 * 2**20


def read(path: Path) -> float | None:
    """Return percent with one decimal, rounded down: 87.5; None if there are no lines to cover.

    So does a report that is missing or broken, which is logged: the coverage is unknown.
    """
    try:
        valid, covered = _count_lines(path)
    except (OSError, ValueError) as error:
        logger.warning("the coverage is unknown: %s: %s", path, error)
        return None
    # Rounded down, so that only all lines make 100.0.
    return covered * 1000 // valid / 10 if valid else None


def _count_lines(path: Path) -> tuple[int, int]:
    """Return how many lines there are and how many ran.

    Raises :class:`ValueError` for a report that cannot be trusted.
    """
    import xml.etree.ElementTree as ET

    from defusedxml.ElementTree import iterparse

    size = path.stat().st_size
    if not path.is_file():
        raise ValueError("it is not a regular file")
    if size > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES} bytes")
    root = None
    try:
        # DTDs are allowed (Cobertura's own tools write one), entities are not. The file is read to
        # its end: the numbers of a truncated report cannot be trusted.
        for event, element in iterparse(path, events=("start", "end")):
            root = element if root is None else root
            if event == "end":
                element.clear() if element is not root else None
    except (ET.ParseError, LookupError) as error:
        raise ValueError(f"it is not XML that can be read ({error})") from error
    if root is None or root.tag != "coverage":
        raise ValueError("it is not a coverage report")
    valid, covered = (int(root.get(name, "?")) for name in ("lines-valid", "lines-covered"))
    if not 0 <= covered <= valid:
        raise ValueError(f"it claims {covered} of {valid} lines")
    return valid, covered
