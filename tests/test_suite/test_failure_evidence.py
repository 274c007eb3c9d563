from pathlib import Path

import pytest

from stepkit.errors import Evidence, Place
from stepkit.test_suite import failure_evidence
from stepkit.test_suite.junit import Case
from stepkit.test_suite.outcome_totals import Allowance, count_outcomes


@pytest.mark.parametrize(
    ("message", "exception"),
    [
        ("KeyError: 'pca'", ("KeyError", "'pca'")),
        ("pkg.errors.Odd: a: b", ("pkg.errors.Odd", "a: b")),
        ("assert [1] == [2]", ("AssertionError", "assert [1] == [2]")),
        ("StopIteration", ("StopIteration", "")),
        ('failed on setup with "RuntimeError: no"', ("RuntimeError", "no")),
        ('failed on teardown with "assert 1', ("AssertionError", "assert 1")),
        ("Failed: DID NOT RAISE <class 'E'>", ("Failed", "DID NOT RAISE <class 'E'>")),
        ("collection failure", ("", "collection failure")),
        ("", ("", "")),
    ],
)
def test_pytests_message_is_split_into_name_and_text(
    message: str, exception: tuple[str, str]
) -> None:
    assert failure_evidence.split_exception(message) == exception


def test_the_first_failure_that_is_not_allowed_is_the_evidence() -> None:
    cases = [
        Case(name="test_a", classname="t", outcome="failed", message="A: 1", text="of a"),
        Case(name="test_b", classname="t", outcome="passed"),
        Case(name="test_c", classname="t", outcome="error", message="C: 3", text="of c"),
    ]
    counts = count_outcomes(cases, [Allowance(pattern="t::test_a")])

    found = failure_evidence.find(counts, "printed")

    assert found == Evidence(ename="C", evalue="3", traceback="of c")


def test_without_a_failure_the_last_lines_of_pytest_are_the_evidence() -> None:
    printed = "".join(f"line {number}\n\n" for number in range(30)) + "\x1b[31mlast\x1b[0m\n"

    found = failure_evidence.find(count_outcomes([], []), printed)

    assert found.output[0] == "line 21"
    assert found.output[-1] == "last"


def test_no_allowance_covers_a_file_that_could_not_be_collected() -> None:
    case = Case(name="tests.test_x", classname="", outcome="error", message="C: 1", text="of x")

    found = failure_evidence.find(count_outcomes([case], [Allowance(pattern="*")]), "printed")

    assert found == Evidence(ename="C", evalue="1", traceback="of x")


def test_an_allowed_failure_is_not_the_evidence() -> None:
    case = Case(name="test_a", classname="t", outcome="failed", message="A: 1", text="of a")

    found = failure_evidence.find(count_outcomes([case], [Allowance(pattern="*")]), "printed")

    assert found == Evidence(output=("printed",))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("tests/test_x.py:4: \n_ _\nlib.py:9: in f\n_ _\ntests/test_x.py:7: AssertionError", 7),
        ("tests/test_x.py:4: in test_a\nlib.py:9: KeyError", 4),
        ("tests/test_x.py:0: x\nlib.py:9: KeyError", None),
        ("", None),
    ],
)
def test_the_place_is_the_line_of_the_test_that_decided(
    tmp_path: Path, text: str, line: int | None
) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_x.py").touch()
    case = Case(name="test_a", classname="T", file="tests/test_x.py", outcome="failed", text=text)
    counts = count_outcomes([case], [])

    title, file = case.node, f"{tmp_path}/tests/test_x.py"
    assert title.startswith("tests/test_x.py::")
    assert failure_evidence.find_place(counts, tmp_path) == Place(title=title, file=file, line=line)
    assert failure_evidence.find_place(counts, tmp_path / "other") == Place(title=title)
    assert failure_evidence.find_place(count_outcomes([], []), tmp_path) is None


def test_the_log_repeats_five_failures_and_their_assertions(
    caplog: pytest.LogCaptureFixture,
) -> None:
    text = "def test():\n>   assert a == b\nE   assert 1 == 2\nE     " + "y" * 500 + "\n\nt.py:1"
    cases = [
        Case(name=f"test_{n}", classname="t", outcome="failed", message=f"m{n}", text=text)
        for n in range(8)
    ]

    failure_evidence.log_failures(count_outcomes(cases, [Allowance(pattern="*test_0")]))

    assert caplog.messages[:4] == [
        "FAILED t::test_1 - m1",
        "    >   assert a == b",
        "    E   assert 1 == 2",
        f"    E     {'y' * 191}...",
    ]
    shown = [message for message in caplog.messages if message.startswith("FAILED")]
    assert shown == [f"FAILED t::test_{n} - m{n}" for n in range(1, 6)]
    assert caplog.messages[-1] == "and 2 more"
