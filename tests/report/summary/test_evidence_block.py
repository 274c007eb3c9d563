"""The code that failed is shown first, and the rest of the evidence folded."""

import pytest
from run_records import error

from stepkit.report.summary.evidence_block import evidence, excerpt

SOURCE = "\n".join(f"step_{n}()" for n in range(1, 31))


def test_some_lines_around_the_one_that_failed_are_shown_with_an_arrow() -> None:
    assert excerpt(error(source=SOURCE, line=9)).split("\n") == [
        "    5  step_5()",
        "    6  step_6()",
        "    7  step_7()",
        "    8  step_8()",
        "->  9  step_9()",
        "   10  step_10()",
        "   11  step_11()",
    ]


@pytest.mark.parametrize(
    ("source", "line", "shown"),
    [
        ("a\nb\n\n\n", 1, "-> 1  a\n   2  b"),
        ("a\n\n\nb", 1, "-> 1  a"),
        ("a\nb", 9, "   1  a\n   2  b"),  # a line that the cell does not have
        ("a\n\nb\n", None, "   1  a\n   2\n   3  b"),
        ("", 1, ""),
        ("  \n", 1, ""),
    ],
)
def test_blank_lines_at_the_end_are_left_out(source: str, line: int | None, shown: str) -> None:
    assert excerpt(error(source=source, line=line)) == shown


def test_of_a_long_cell_without_a_known_line_the_beginning_is_shown() -> None:
    lines = excerpt(error(source=SOURCE, line=None)).split("\n")

    assert (lines[0], lines[-2:]) == (
        "    1  step_1()",
        ["   12  step_12()", "   ... 18 more lines"],
    )


def test_what_is_known_first_is_not_folded() -> None:
    nothing = {"source": "", "traceback": "", "output": [], "stack": ""}

    assert evidence(error(**nothing)) == []
    assert evidence(error(**{**nothing, "output": ["fatal: no"]})) == [
        "```text",
        "fatal: no",
        "```",
    ]
    lines = evidence(error(**{**nothing, "traceback": "E  1", "stack": "Thread"}))
    assert lines[:3] == ["```text", "E  1", "```"]
    assert "<details><summary>Where the threads of the kernel were</summary>" in lines


def test_a_cut_traceback_says_how_long_it_was() -> None:
    lines = evidence(error(source="a", traceback="x\ny", left_out=58))

    assert "<details><summary>Traceback (the last 2 lines of 60)</summary>" in lines
