"""Tests that failed on the page of a failed notebook: one line, and the rest on request."""

import bs4
import pytest
import run_records

from stepkit.report.follow_on_failures import follow_on_failures
from stepkit.report.page import report_page
from stepkit.report.run_json import RunJson
from stepkit.report.summary import step_summary
from stepkit.report.terminal.paint import Paint
from stepkit.report.terminal.run_page import run_page

FOLDED = "2 tests failed on the page of a notebook that did not finish"


def both_failed() -> RunJson:
    """Return a run of a notebook that failed, and whose tests then failed on its page."""
    record, tested = run_records.failed(), run_records.failed_tests()
    record["tests"] = tested["tests"]
    record["steps"][6] = tested["steps"][6]
    record["not_run"] = ["convert-notebook"]
    return record


def page_of(record: RunJson) -> bs4.Tag:
    html = report_page.render(record, lambda _: None, name="report.html")
    found = bs4.BeautifulSoup(html, "html.parser").select_one("section#tests")
    assert found
    return found


def test_failures_are_counted_without_those_that_are_allowed() -> None:
    record = both_failed()
    suite = record["tests"][0]
    assert follow_on_failures(record, suite) == FOLDED

    suite["failures"][0]["allowed"] = True
    assert follow_on_failures(record, suite) == FOLDED.replace("2 tests", "1 test")
    suite["failures"][1]["allowed"] = True
    assert follow_on_failures(record, suite) == ""


@pytest.mark.parametrize("name", ["failed_tests", "tolerated", "incomplete", "matrix"])
def test_failures_are_not_folded_where_they_stand_by_themselves(name: str) -> None:
    suite = run_records.failed_tests()["tests"][0]

    assert follow_on_failures(run_records.RUNS[name](), suite) == ""


def test_on_a_terminal_they_are_one_line_unless_all_is_asked_for() -> None:
    page = run_page(both_failed(), Paint())
    every = run_page(both_failed(), Paint(), every=True)

    assert f"\n{FOLDED}: --all shows them\n" in page
    assert "test_leiden" not in page
    assert "test_leiden: assert 11 == 12" in every
    assert FOLDED not in every


def test_an_allowed_failure_is_shown_beside_them() -> None:
    record = both_failed()
    record["tests"][0]["failures"][1] |= {"allowed": True, "reason": "known"}

    page = run_page(record, Paint())

    assert "allowed    tests/test_page.py::test_umap" in page
    assert "test_leiden" not in page


def test_in_a_summary_they_are_folded() -> None:
    text = step_summary.render(both_failed())

    folded = text.partition(f"<details><summary>{FOLDED}</summary>\n")[2]
    assert "test_leiden`: assert 11 == 12" in folded.partition("\n## ")[0]
    assert text.count("test_leiden`: assert 11 == 12") == 1
    assert FOLDED not in step_summary.render(run_records.failed_tests())


def test_in_a_report_they_are_folded_and_not_printed() -> None:
    section = page_of(both_failed())

    outer = section.select_one("details.unprinted")
    assert outer
    assert FOLDED in outer.select_one("summary").get_text()  # type: ignore[union-attr]
    assert "open" not in outer.attrs
    assert len(outer.select("details:not([open])")) == 2


def test_the_first_failure_is_open_and_others_have_their_assertion_on_their_line() -> None:
    record = run_records.failed_tests()
    record["tests"][0]["failures"] += [
        run_records.case(f"test_{n}", status="failed", message=f"assert {n} == 0")
        for n in range(1, 15)
    ]

    shown = page_of(record).select("details:has(.state)")

    assert len(shown) == 16
    assert ["open" in one.attrs for one in shown] == [True, *[False] * 15]
    assert "test_14: assert 14 == 0" in shown[-1].select_one("summary").get_text()  # type: ignore[union-attr]
    assert [one.get("class") for one in shown[9:11]] == [None, ["unprinted"]]


def test_a_terminal_has_the_first_twenty_of_many_failures() -> None:
    record = run_records.failed_tests()
    record["tests"][0]["failures"] = [
        run_records.case(f"test_{n:02}", status="failed", message="no") for n in range(30)
    ]

    page = run_page(record, Paint())

    assert "test_19: no\nand 10 more: --all shows them\n" in page
    assert "test_20" not in page
    assert "test_29: no" in run_page(record, Paint(), every=True)
