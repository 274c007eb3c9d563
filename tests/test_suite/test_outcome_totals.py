from stepkit.step import Checks
from stepkit.test_suite.junit import Case
from stepkit.test_suite.outcome_totals import Allowance, Skip, Timing, count_outcomes


def test_the_slowest_are_ten_in_order_and_ran() -> None:
    cases = [Case(name=f"test_{n}", classname="t", seconds=n / 10) for n in range(12)]
    cases.append(Case(name="test_skipped", classname="t", outcome="skipped", seconds=9.0))
    cases.append(Case(name="test_unknown", classname="t"))

    slowest = count_outcomes(cases, []).slowest

    assert [test.name for test in slowest] == [f"t::test_{n}" for n in range(11, 1, -1)]
    assert slowest[0] == Timing(name="t::test_11", seconds=1.1, status="passed")


def test_skipped_tests_have_pytests_reason() -> None:
    cases = [
        Case(name="test_a", classname="t", outcome="skipped", message="no gpu"),
        Case(name="test_b", classname="t", outcome="skipped", message="known", expected=True),
        Case(name="test_c", classname="t", outcome="skipped", expected=True),
    ]

    assert count_outcomes(cases, []).skips == (
        Skip(name="t::test_a", reason="no gpu"),
        Skip(name="t::test_b", reason="xfail: known"),
        Skip(name="t::test_c", reason="xfail"),
    )


def test_checks_count_each_outcome_once() -> None:
    cases = [
        Case(name="test_a", classname="t"),
        Case(name="test_b", classname="t", outcome="failed"),
        Case(name="test_c", classname="t", outcome="error"),
        Case(name="test_d", classname="t", outcome="failed"),
        Case(name="test_e", classname="t", outcome="skipped"),
    ]

    counts = count_outcomes(cases, [Allowance(pattern="*test_d")])

    assert counts.checks == Checks(successes=1, failures=2, warnings=1)
