"""Counts of test outcomes; failures that were declared beforehand are counted apart."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stepkit.step import Checks
from stepkit.test_suite.junit import Case, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_SLOW: Final = 10


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """A failure that was declared beforehand: which tests may fail, and why."""

    pattern: str
    reason: str = ""

    @classmethod
    def parse(cls, text: str) -> Allowance:
        """Read ``PATTERN`` or ``PATTERN=reason``; a ``=`` in brackets belongs to a test's name."""
        match = re.fullmatch(r"((?:[^=\[]|\[.*\])+)(?:=(.*))?", text, re.DOTALL)
        return cls(pattern=match[1], reason=match[2] or "") if match else cls(pattern=text)

    def covers(self, case: Case) -> bool:
        """Return whether ``case`` may fail; ``*`` and ``?`` match anything, brackets themselves."""
        pattern = self.pattern.replace("[", "[[]")
        names = (case.node, f"{case.classname}::{case.name}")
        return any(fnmatch.fnmatchcase(name, pattern) for name in names)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One test that failed (or whose setup or teardown did).

    ``message`` is one line, as in pytest's short test summary; ``text`` has pytest's last lines on
    the failure. ``reason`` says why it is ``allowed``.
    """

    name: str
    message: str
    text: str = ""
    seconds: float | None = None
    allowed: bool = False
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long one test took, with its setup and teardown."""

    name: str
    seconds: float
    status: Outcome


@dataclass(frozen=True, kw_only=True)
class Skip:
    """One test that was skipped, and pytest's reason; ``xfail: …`` if it failed as expected."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Counts:
    """The outcomes of a test run; an allowed failure counts as ``allowed`` alone."""

    cases: tuple[Case, ...] = ()
    failures: tuple[Failure, ...] = ()
    allowed: int = 0
    failed: int = 0
    errors: int = 0

    @property
    def total(self) -> int:
        """All tests, including the skipped ones."""
        return len(self.cases)

    @property
    def skipped(self) -> int:
        """Tests that did not run, or were expected to fail and did."""
        return sum(case.outcome == "skipped" for case in self.cases)

    @property
    def passed(self) -> int:
        """Tests that passed."""
        return sum(case.outcome == "passed" for case in self.cases)

    @property
    def slowest(self) -> tuple[Timing, ...]:
        """The ten tests that took longest, the longest first."""
        timed = [
            Timing(name=case.node, seconds=case.seconds, status=case.outcome)
            for case in self.cases
            if case.seconds is not None and case.outcome != "skipped"
        ]
        return tuple(sorted(timed, key=lambda test: -test.seconds)[:_MOST_SLOW])

    @property
    def skips(self) -> tuple[Skip, ...]:
        """The tests that did not run, or were expected to fail and did."""
        return tuple(
            Skip(
                name=case.node,
                reason=f"xfail: {case.message}".rstrip(": ") if case.expected else case.message,
            )
            for case in self.cases
            if case.outcome == "skipped"
        )

    @property
    def checks(self) -> Checks:
        """The numbers in the form that all steps have."""
        failures = self.failed + self.errors
        return Checks(successes=self.passed, failures=failures, warnings=self.allowed)

    def __str__(self) -> str:
        parts = [f"{self.passed} passed"]
        parts += [f"{self.failed} failed"] if self.failed else []
        parts += [pluralize(self.errors, "error")] if self.errors else []
        parts += [f"{self.skipped} skipped"] if self.skipped else []
        if self.allowed:
            reasons = sorted({f.reason for f in self.failures if f.allowed and f.reason})
            shown = f" ({'; '.join(reasons)})" if reasons else ""
            parts.append(pluralize(self.allowed, "allowed failure") + shown)
        return f"{pluralize(self.total, 'test')}: {', '.join(parts)}"


def count_outcomes(cases: Sequence[Case], allowances: Sequence[Allowance]) -> Counts:
    """Count the outcomes of ``cases``; each failure is allowed by the first that covers it."""
    failures = []
    not_allowed = {"failed": 0, "error": 0}
    for case in cases:
        if case.outcome not in not_allowed:
            continue
        allowance = next((a for a in allowances if a.covers(case)), None)
        not_allowed[case.outcome] += allowance is None
        failures.append(
            Failure(
                name=case.node,
                message=case.message,
                text=case.text,
                seconds=case.seconds,
                allowed=allowance is not None,
                reason=allowance.reason if allowance else "",
            )
        )
    return Counts(
        cases=tuple(cases),
        failures=tuple(failures),
        allowed=sum(failure.allowed for failure in failures),
        failed=not_allowed["failed"],
        errors=not_allowed["error"],
    )


def pluralize(number: int, noun: str) -> str:
    """Return ``1 test`` or ``2 tests``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
