"""The rows of locked RMM and CuPy wheels on which the guard is tested."""

import re

import pytest
from rmm_python import LOCKS, ROWS


@pytest.mark.parametrize("row", ROWS)
def test_a_lock_pins_what_the_name_of_its_row_says(row: str) -> None:
    asked = (LOCKS / f"{row}.in").read_text().split()
    lock = (LOCKS / f"{row}.txt").read_text()
    cuda, release = row.removeprefix("cuda").split("-")
    year, month = map(int, release.split("."))

    assert f"rmm-cu{cuda}=={year}.{month}.*" in asked
    for requirement in asked:
        start = requirement.removesuffix("*")
        assert re.search(rf"^{re.escape(start)}.*\n    --hash=sha256:", lock, re.MULTILINE)


def test_each_lock_has_what_it_was_made_from() -> None:
    assert sorted(file.stem for file in LOCKS.glob("*.in")) == ROWS
    assert len(ROWS) >= 6
