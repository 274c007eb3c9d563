"""CHANGELOG.md has what is unreleased on top, and a section for each release below it."""

from pathlib import Path

import pytest

from release import changelog
from stepkit import __version__

TEXT = """\
# Changelog

## Unreleased

### Added

- two
- three, on
  two lines

### Fixed

- four

## 0.1.0 - 2026-11-22

### Added

- one
"""
RELEASED = """\
# Changelog

## Unreleased

## 0.2.0 - 2026-11-30

### Added

- two
- three, on
  two lines

### Fixed

- four

## 0.1.0 - 2026-11-22

### Added

- one
"""


def test_its_newest_release_is_the_version_of_this_tree() -> None:
    text = Path(__file__).parents[2].joinpath("CHANGELOG.md").read_text()
    assert changelog.problems(text, __version__) == []


def test_what_is_unreleased_becomes_the_section_of_the_version() -> None:
    assert changelog.unreleased(TEXT) == 3
    assert changelog.with_release(TEXT, "0.2.0", "2026-11-30") == RELEASED
    assert changelog.unreleased(RELEASED) == 0


def test_what_is_added_before_the_tag_joins_the_section_by_its_kind() -> None:
    later = RELEASED.replace(
        "## Unreleased\n", "## Unreleased\n\n### Fixed\n\n- six\n\n### Security\n\n- seven\n"
    )

    again = changelog.with_release(later, "0.2.0", "2026-12-01")

    assert again == RELEASED.replace("11-30", "12-01").replace(
        "- four\n", "- four\n- six\n\n### Security\n\n- seven\n"
    )


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("## Unreleased", "## Next", "the first section is 'Next', not 'Unreleased'"),
        ("0.2.0 - 2026-11-30", "0.2.0", "'0.2.0' is not a version with its day, such as"),
        ("2026-11-30", "2026-11-31", "'0.2.0 - 2026-11-31' is not a version with its day"),
        ("2026-11-30", "2026-11-21", "0.2.0 of 2026-11-21 stands above a newer release"),
        ("## 0.1.0", "## 0.2.0", "0.2.0 of 2026-11-30 stands above a newer release"),
        ("## 0.2.0", "## 0.3.0", "the newest release is 0.3.0 - 2026-11-30, stepkit is 0.2.0"),
    ],
)
def test_a_title_that_misleads_is_named(old: str, new: str, problem: str) -> None:
    assert changelog.problems(RELEASED, "0.2.0") == []

    found = changelog.problems(RELEASED.replace(old, new), "0.2.0")

    assert [line for line in found if line.startswith(f"CHANGELOG.md: {problem}")]
