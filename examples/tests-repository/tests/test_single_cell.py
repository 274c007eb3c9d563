"""Every check on the pages that CI puts into input/."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from analysis_page import Page, parse
from checks import CHECKS, Check

INPUT = Path(__file__).parent.parent / "input"
PATTERN = "std_*.html"

pytestmark = pytest.mark.single_cell


@cache
def page(path: Path) -> Page:
    return parse(path.read_text(encoding="utf-8"))


# Without a page, each test runs on a path that does not exist: it fails instead of being skipped.
@pytest.mark.parametrize(
    "path", sorted(INPUT.glob(PATTERN)) or [INPUT / PATTERN], ids=lambda p: p.stem
)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_page(path: Path, check: Check) -> None:
    assert path.exists(), f"there is no {PATTERN} in {INPUT}: nothing to check"
    assert check(page(path)) is None
