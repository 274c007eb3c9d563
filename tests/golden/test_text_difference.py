"""Texts are compared word by word, and their numbers within limits."""

import pytest

from stepkit.golden import text_difference
from stepkit.golden.finding import Tally
from stepkit.golden.limits import Limits

PERCENT = Limits(rtol=0.01)


def compare(golden: str, new: str, limits: Limits = PERCENT) -> str:
    found = text_difference.compare(golden, new, limits, Tally())
    return found.message if found else ""


@pytest.mark.parametrize(
    ("golden", "new"),
    [
        ("accuracy: 0.979", "accuracy: 0.981"),
        ("{'loss':0.5, 'n': 1e3}", "{'loss':0.501, 'n': 1.001e3}"),
        ("array([[1.  , 2.25],\n       [3.  , nan]])", "array([[1.001, 2.251], [3.0, nan]])"),
        ("took 12.5s and 3.0GB", "took 12.6s and 3.01GB"),
        ("-0.1±0.02", "-0.1001±0.0201"),
        ("inf .5 1.", "inf 0.5 1.0"),
        ("(1.5-2j) 3.+1e-3j", "(1.501-2.001j) 3.01+1.001e-3j"),
    ],
)
def test_numbers_within_the_limits_are_the_same_wherever_they_stand(golden: str, new: str) -> None:
    assert compare(golden, new) == ""


@pytest.mark.parametrize(
    ("golden", "new", "message"),
    [
        ("a 1.0\nb 2.0", "a 1.0\nb 2.1", "2.1 is not 2.0 (5 % off, rtol 0.01, atol 0)"),
        ("0 and 0", "0.5 and 1", "0.5 is not 0 (rtol 0.01, atol 0), and 1 other number"),
        ("one\ntwo", "one\nzwei", "line 2: `zwei` is not `two`"),
        ("one\ntwo", "one", "it ends before `two`"),
        ("one", "one two", "`one two` is new"),
        ("on 2026-01-01", "on 2027-01-01", "`on 2027-01-01` is not `on 2026-01-01`"),
        ("cudf 25.04.1", "cudf 25.04.2", "`cudf 25.04.2` is not `cudf 25.04.1`"),
        ("gene100", "gene101", "`gene101` is not `gene100`"),
        ("12", "1 2", "`1 2` is new"),
        ("1.0", "nan", "`nan` is not `1.0`"),
        ("inf", "1e999", "`1e999` is not `inf`"),
        ("1e998", "1e999", "1e999 is not 1e998"),
        ("1e999", "5", "5 is not 1e999"),
        ("1.5-2j", "1.5-3j", "-3j is not -2j (50 % off"),
        ("2", "4", "4 is not 2 (100 % off"),
    ],
)
def test_what_differs_is_named_with_both_values(golden: str, new: str, message: str) -> None:
    assert message in compare(golden, new)


@pytest.mark.parametrize(
    ("golden", "new", "limits", "refused"),
    [
        ("1000000000001", "1000000000002", Limits(), "1000000000002 is not 1000000000001"),
        ("0.30000000000000004", "0.3", Limits(), ""),
        ("0.123456", "0.123457", Limits(), "0.123457 is not 0.123456"),
        ("100", "101", Limits(rtol=0.01), ""),
        ("0.0", "1e-9", Limits(rtol=0.01), "1e-9 is not 0.0"),
        ("0.0", "1e-9", Limits(atol=1e-8), ""),
    ],
)
def test_without_declared_limits_only_rounding_is_accepted(
    golden: str, new: str, limits: Limits, refused: str
) -> None:
    assert compare(golden, new, limits).partition(" (")[0] == refused


def test_what_the_limits_accept_is_counted() -> None:
    tally = Tally()

    assert text_difference.compare("1.0 2.0 3.0", "1.0 2.01 3.003", PERCENT, tally) is None

    assert (tally.within, round(tally.largest, 4)) == (2, 0.005)


def test_both_are_shown_around_the_line_that_differs() -> None:
    golden = "\n".join(f"line {n}" for n in range(100))

    found = text_difference.compare(golden, golden.replace("line 50", "x"), PERCENT, Tally())

    assert found
    assert found.golden.splitlines()[:4] == ["...", "line 48", "line 49", "line 50"]
    assert found.new.splitlines()[:4] == ["...", "line 48", "line 49", "x"]
    assert len(found.golden.splitlines()) < 20


def test_what_differs_from_zero_has_no_share() -> None:
    tally = Tally()

    assert not text_difference.compare("0.0 2.0", "0.1 2.1", Limits(atol=0.2), tally)

    assert (tally.within, round(tally.largest, 3)) == (2, 0.05)
