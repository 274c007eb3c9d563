"""Each row of the table of faults is run by one test, and docs/faults.md shows the table."""

import re
from pathlib import Path

import yaml
from faults import harness, write_page
from faults.outcomes import Outcomes

TESTS = sorted(Path(__file__).parent.glob("test_*.py"))
ROWS = {"G": 70, "D": 47, "P": 27, "S": 35, "T": 38}
NUMBERS = [f"{letter}{n}" for letter, rows in ROWS.items() for n in range(1, rows + 1)]


def test_the_table_has_all_rows() -> None:
    assert list(yaml.safe_load(harness.TABLE.read_text())) == NUMBERS


def test_each_row_has_one_test() -> None:
    text = "\n".join(path.read_text() for path in TESTS)
    decorators = re.findall(r"^@row\(([^)]*)\)", text, re.MULTILINE)
    rows = re.findall(r'"([GDPST]\d+)"', " ".join(decorators))

    assert sorted(rows) == sorted(NUMBERS)


def test_each_lie_has_one_test() -> None:
    text = "\n".join(path.read_text() for path in TESTS)
    steps = re.findall(r'^@row\(\*of\("([a-z-]+)"\)\)', text, re.MULTILINE)

    assert list(harness.lies()) == [f"L{n}" for n in range(1, 65)]
    assert sorted(steps) == sorted({lie["step"] for lie in harness.lies().values()})


def test_the_page_says_what_the_table_says() -> None:
    page = write_page.PAGE.read_text()

    assert page == write_page.page(Outcomes.read()), "run `make generated`"
