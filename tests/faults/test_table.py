"""Each row of the table of faults is run by one test."""

from pathlib import Path

from faults import harness, write_page
from faults.outcomes import Outcomes

TESTS = sorted(Path(__file__).parent.glob("test_*.py"))
ROWS = {"G": 68, "D": 46, "P": 25, "S": 35, "T": 38}


def test_the_table_has_all_rows() -> None:
    expected = [f"{letter}{n}" for letter, rows in ROWS.items() for n in range(1, rows + 1)]

    assert list(harness.table()) == expected


def test_the_page_says_what_the_table_says() -> None:
    page = write_page.PAGE.read_text()

    assert page == write_page.page(Outcomes.read()), "run `make generated`"
