import os
from pathlib import Path

import pytest

from stepkit import redaction
from stepkit.errors import Reason, UserCodeError
from stepkit.test_suite import junit


def _read(tmp_path: Path, text: str | bytes) -> tuple[junit.Case, ...]:
    report = tmp_path / "results.xml"
    report.write_bytes(text if isinstance(text, bytes) else text.encode())
    return junit.read(report)


def _suite(*cases: str) -> str:
    # The totals are wrong on purpose: they must not be read.
    wrong = '<testsuite tests="99" failures="0" errors="0">'
    return f"<testsuites>{wrong}{''.join(cases)}</testsuite></testsuites>"


def _case(name: str, inside: str = "", classname: str = "tests.test_x") -> str:
    named = f'classname="{classname}" name="{name}" file="tests/test_x.py"'
    return f"<testcase {named}>{inside}</testcase>"


def test_outcomes_are_counted_from_the_tests_and_not_from_the_suite(tmp_path: Path) -> None:
    cases = _read(
        tmp_path,
        _suite(
            _case("a"),
            _case("b", '<failure message="ValueError: no&#10;more">text</failure>'),
            _case("c", "<error message='failed on setup with \"KeyError\"'/>"),
            _case("d", '<skipped type="pytest.skip" message="no gpu"/>'),
            _case("e", '<skipped type="pytest.xfail" message=""/>'),
        ),
    )
    assert [(c.name, c.outcome, c.message, c.expected) for c in cases] == [
        ("a", "passed", "", False),
        ("b", "failed", "ValueError: no", False),
        ("c", "error", 'failed on setup with "KeyError"', False),
        ("d", "skipped", "no gpu", False),
        ("e", "skipped", "", True),
    ]


@pytest.mark.parametrize("failed_first", [True, False])
def test_a_test_that_is_listed_twice_counts_once_with_its_worst_outcome(
    tmp_path: Path, *, failed_first: bool
) -> None:
    both = [_case("a", '<failure message="x"/>'), _case("a"), _case("b")]
    cases = _read(tmp_path, _suite(*(both if failed_first else reversed(both))))
    assert sorted((case.name, case.outcome) for case in cases) == [("a", "failed"), ("b", "passed")]


def test_a_failure_is_worse_than_an_error_of_the_teardown(tmp_path: Path) -> None:
    inside = '<error message="teardown"/><failure message="the test"/>'
    (case,) = _read(tmp_path, _suite(_case("a", inside)))
    assert (case.outcome, case.message) == ("failed", "the test")


def test_names_are_those_that_pytest_shows(tmp_path: Path) -> None:
    cases = _read(
        tmp_path,
        _suite(
            _case("test_p[&lt;a&gt;&amp;]"),
            _case("test_m", classname="tests.test_x.TestA.TestB"),
            '<testcase classname="pkg.mod" name="test_q"/>',
            '<testcase classname="" name="tests.test_bad" file="tests/test_bad.py"/>',
        ),
    )
    assert [case.node for case in cases] == [
        "tests/test_x.py::test_p[<a>&]",
        "tests/test_x.py::TestA::TestB::test_m",
        "pkg.mod::test_q",
        "tests/test_bad.py",
    ]


def test_a_collection_error_shows_the_exception(tmp_path: Path) -> None:
    inside = (
        '<error message="collection failure">Traceback:\n    import nope\n'
        "E   ModuleNotFoundError: No module named 'nope'</error>"
    )
    (case,) = _read(tmp_path, _suite(_case("a", inside)))
    assert case.message == "ModuleNotFoundError: No module named 'nope'"


def test_a_long_message_is_cut(tmp_path: Path) -> None:
    (case,) = _read(tmp_path, _suite(_case("a", f'<failure message="{"x" * 5000}"/>')))
    assert case.message == "x" * 300 + "..."


BOMB = """<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "ha"><!ENTITY c "&a;&a;">]>
<testsuites><testsuite><testcase classname="c" name="&c;"/></testsuite></testsuites>"""
XXE = """<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<testsuites><testsuite><testcase classname="c" name="x">&a;</testcase></testsuite></testsuites>"""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "all 7 tests passed",
        _suite(_case("a"))[:-20],
        _suite(_case("a")) + "<more/>",
        _suite(_case("a\0")),
        '<?xml version="1.0" encoding="nonsense"?><testsuites/>',
        BOMB,
        XXE,
    ],
    ids=["empty", "text", "cut", "two roots", "NUL", "encoding", "entities", "external"],
)
def test_a_report_that_is_not_plain_xml_gives_no_totals(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserCodeError, match="is not XML that can be read") as caught:
        _read(tmp_path, text)
    assert caught.value.reason is Reason.TESTS_BROKEN
    assert str(tmp_path / "results.xml") in str(caught.value)


def test_other_xml_is_not_a_report(tmp_path: Path) -> None:
    with pytest.raises(UserCodeError, match="is not a JUnit report: it begins with <coverage>"):
        _read(tmp_path, '<coverage line-rate="1"/>')


def test_nesting_is_limited(tmp_path: Path) -> None:
    with pytest.raises(UserCodeError, match="nests elements over 64 deep"):
        _read(tmp_path, "<testsuites>" + "<a>" * 100_000)


def test_the_size_is_limited(tmp_path: Path) -> None:
    report = tmp_path / "results.xml"
    with report.open("wb") as file:
        file.truncate(junit.MAX_BYTES + 1)  # sparse: takes no disk
    with pytest.raises(UserCodeError, match="has 209715201 bytes, more than"):
        junit.read(report)


def test_a_missing_report_means_a_broken_run(tmp_path: Path) -> None:
    with pytest.raises(
        UserCodeError, match="is missing: pytest ended without writing it"
    ) as caught:
        junit.read(tmp_path / "results.xml")
    assert caught.value.reason is Reason.TESTS_BROKEN


def test_a_directory_or_a_pipe_instead_of_a_report_means_a_broken_run(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # opened, it would block for ever
    for path in (tmp_path, pipe):
        with pytest.raises(UserCodeError, match="is not a regular file"):
            junit.read(path)


def test_a_failure_keeps_the_end_of_its_text_without_colours(tmp_path: Path) -> None:
    text = "".join(f"line {number}&#10;" for number in range(100)) + "E   #x1B[31mred#x1B[0m"
    inside = f'<failure message="#x1B[1mbold#x1B[0m">{text}</failure>'
    (case,) = _read(tmp_path, _suite(_case("a", inside)))

    assert case.message == "bold"
    assert case.left_out == 61
    assert case.text.split("\n")[0] == "line 61"
    assert case.text.split("\n")[-1] == "E   red"


@pytest.mark.parametrize(
    ("time", "seconds"),
    [("1.5", 1.5), ("1,234.5", 1234.5), ("", None), ("nan", None), ("-1", None), ("1e999", None),
     ("soon", None)],
)  # fmt: skip
def test_a_time_that_is_not_a_length_is_unknown(
    tmp_path: Path, time: str, seconds: float | None
) -> None:
    (case,) = _read(tmp_path, _suite(f'<testcase classname="t" name="a" time="{time}"/>'))
    assert case.seconds == seconds


def test_a_secret_is_masked_before_a_text_is_cut(tmp_path: Path) -> None:
    redaction.register("hush-1234567")
    line = "x" * 1990 + "hush-1234567"
    inside = f'<failure message="hush-1#x1B[0m234567">{line}</failure>'
    (case,) = _read(tmp_path, _suite(_case("a", inside)))

    assert (case.message, case.text) == ("***", "x" * 1990 + "***")
