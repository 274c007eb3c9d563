"""Evidence as lines that people read in a log."""

from dataclasses import asdict

import pytest

from stepkit.errors import Evidence
from stepkit.formats import evidence_text

SOURCE = "one()\ntwo()\nthree()\nfour()\nfive()\nsix()\nseven()"
END = "-" * 75


def test_the_source_is_shown_around_the_line_that_failed() -> None:
    error = Evidence(ename="KeyError", evalue="'pca'", source=SOURCE, line=6)

    assert evidence_text.lines(error, where="cell 2 of 4") == [
        "--- cell 2 of 4, line 6 ---------------------------------------------------",
        "      2 two()",
        "      3 three()",
        "      4 four()",
        "      5 five()",
        "----> 6 six()",
        "      7 seven()",
        "KeyError: 'pca'",
        END,
    ]


@pytest.mark.parametrize(
    ("arrow", "shown"),
    [("----> 6 six()", False), ("----> 6 sixty()", True), ("----> 60 six()", True)],
)
def test_a_line_that_the_traceback_points_at_is_not_shown_twice(arrow: str, shown: bool) -> None:  # noqa: FBT001
    head = "KeyError   Traceback"
    error = Evidence(source=SOURCE, line=6, traceback=f"{head}\n\x1b[1m{arrow}\x1b[0m")

    lines = evidence_text.lines(error, where="cell 1")

    assert ("      5 five()" in lines) == shown
    assert lines[-3:] == [head, arrow, END]


def test_lines_that_were_left_out_are_counted() -> None:
    error = Evidence(traceback="last", left_out=312)

    assert evidence_text.lines(error, where="x")[1:3] == ["... 312 lines before", "last"]


def test_output_and_stack_follow() -> None:
    error = Evidence(output=("10 %\r", "\x1b[1mdone"), stack="Thread:\n  File a")

    assert evidence_text.lines(error, where="x")[1:-1] == [
        "last lines of its output:",
        "  | 10 %",
        "  | done",
        "where its threads were:",
        "Thread:",
        "  File a",
    ]


def test_of_a_source_whose_failing_line_is_unknown_the_first_lines_are_shown() -> None:
    error = Evidence(source="\n".join(f"step({number})" for number in range(1, 13)))

    lines = evidence_text.lines(error, where="x")

    assert lines[0] == "--- x ".ljust(75, "-")
    assert lines[10:12] == ["     10 step(10)", "    ... 2 more lines"]


def test_a_line_of_hostile_text_is_one_line() -> None:
    error = Evidence(ename="E", evalue="a\x1b[2J\u2028::error::b\x07")

    assert evidence_text.lines(error, where="x")[1] == r"E: a\u2028::error::b\x07"


def test_evidence_of_nothing_has_no_lines() -> None:
    assert evidence_text.lines(Evidence(), where="cell 1") == []


def test_evidence_is_read_back_from_a_report() -> None:
    error = Evidence(ename="E", line=2, output=("a",), left_out=1)

    assert evidence_text.of_json({**asdict(error), "output": ["a"], "later": 1}) == error
