"""The verdict on a run of pytest, from its exit code, its JUnit report and our plugin's record."""

from __future__ import annotations

import re
import signal
from collections import Counter
from typing import TYPE_CHECKING, Final

from stepkit.errors import Reason, StepError, ToolError, UserCodeError
from stepkit.system import disk
from stepkit.test_suite import failure_evidence
from stepkit.test_suite.outcome_totals import pluralize

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from stepkit.system.process import Completed
    from stepkit.test_suite.outcome_totals import Counts
    from stepkit.test_suite.record_outcomes import Recorded

_MAX_NAMES: Final = 5  # shown in a message
_FAILED, _INTERRUPTED, _INTERNAL, _USAGE, _NOTHING = 1, 2, 3, 4, 5  # pytest.ExitCode

# Signals that a process does not get by crashing.
_FROM_OUTSIDE: Final = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_COVERAGE: Final = re.compile(
    r"^.*(?:Required test coverage of .* not reached|Coverage failure).*$", re.MULTILINE
)


def judge(
    done: Completed,
    counts: Counts,
    unread: StepError | None,
    recorded: Recorded | None,
    *,
    out_of_memory: bool,
) -> StepError | None:
    """Return what is wrong with the run, or None if it passed (with allowed failures or without).

    ``unread`` says why the JUnit report could not be read; ``recorded`` is None if pytest did not
    end normally; ``out_of_memory`` means that the OOM killer was active during the run.
    """
    error = _find_error(done, counts, unread, recorded, out_of_memory=out_of_memory)
    if error:
        error.evidence = failure_evidence.find(counts, done.output)
    return error


def _find_error(
    done: Completed,
    counts: Counts,
    unread: StepError | None,
    recorded: Recorded | None,
    *,
    out_of_memory: bool,
) -> StepError | None:
    error = _find_abnormal_end(done, counts, recorded, out_of_memory=out_of_memory)
    if error is None and unread is not None:
        message = f"{unread}; pytest's last line: {_last_line(done.output)}"
        return type(unread)(message, reason=unread.reason)
    return (
        error
        or _find_contradiction(counts, recorded)
        or _find_failures(counts, recorded)
        or _find_tests_that_did_not_run(counts, recorded)
        or _find_other_failure(done, counts, recorded)
    )


def name_removed(recorded: Recorded | None) -> str:
    """Return how a message goes on that must name the tests which a hook took out; "" if none."""
    if not (recorded and recorded.removed):
        return ""
    names = _join_some([_short(name) for name in recorded.removed], ", ")
    return f"; {len(recorded.removed)} more collected and taken out by a hook: {names}"


def blame_full_disk(failure: StepError, places: Sequence[Path]) -> StepError:
    """Return ``failure``, or a :class:`ToolError` if the disk of one of ``places`` is full.

    A test that cannot write fails whether or not what it tests is right.
    """
    for place in places:
        if lacking := disk.what_is_full(place):
            return ToolError(
                f"the disk of {place} has no {lacking} left, so that the tests say nothing: "
                f"{failure}: free some and run again",
                reason=Reason.DISK_FULL,
                evidence=failure.evidence,
            )
    return failure


def _find_abnormal_end(
    done: Completed, counts: Counts, recorded: Recorded | None, *, out_of_memory: bool
) -> StepError | None:
    last = _last_line(done.output)
    if done.timed_out:
        known = f" ({counts} by then)" if counts.total else ""
        return UserCodeError(
            f"pytest did not end within {done.seconds:.0f} s{known}; its last line: {last}: "
            "allow more with --timeout, or find what hangs",
            reason=Reason.TIMEOUT,
        )
    if done.code < 0:
        return _explain_signal(-done.code, last, out_of_memory=out_of_memory)
    if done.code == _NOTHING:
        return UserCodeError("pytest found no test to run", reason=Reason.NO_TESTS)
    if done.code in {0, _FAILED}:
        return None
    return UserCodeError(_explain_exit_code(done, counts, recorded), reason=Reason.TESTS_BROKEN)


def _explain_signal(signum: int, last: str, *, out_of_memory: bool) -> StepError:
    name = signal.Signals(signum).name if signum in set(signal.Signals) else f"signal {signum}"
    if signum == signal.SIGKILL and out_of_memory:
        return ToolError(
            f"pytest was killed because memory ran out; its last line: {last}",
            reason=Reason.OUT_OF_MEMORY,
        )
    if signum in _FROM_OUTSIDE:
        return ToolError(
            f"pytest was killed by {name} from outside; its last line: {last}",
            reason=Reason.KILLED,
        )
    return UserCodeError(
        f"pytest crashed with {name}; its last line: {last}", reason=Reason.TESTS_BROKEN
    )


def _explain_exit_code(done: Completed, counts: Counts, recorded: Recorded | None) -> str:
    raised = re.findall(r"^E {2,}(\S.*)$", done.output, re.MULTILINE)
    why = raised[-1] if raised else _last_line(done.output)
    broken = [f"{failure.name}: {failure.message}" for failure in counts.failures]
    if done.code == _INTERRUPTED and broken:
        return f"the tests could not be collected: {_join_some(broken, '; ')}"
    if done.code == _USAGE and (
        conftest := re.search(r"while loading conftest '(.*)'", done.output)
    ):
        return f"the tests could not be collected: {conftest[1]}: {why}"
    if done.code == _USAGE:
        usage = re.search(r"^(?:.*: error: |ERROR: (?!usage))(.*)$", done.output, re.MULTILINE)
        ini = re.search(r"^ *inifile: (.*)$", done.output, re.MULTILINE)
        where = f"addopts in {ini[1]} and " if ini and ini[1] not in {"None", "/dev/null"} else ""
        return (
            f"pytest refused to start: {usage[1] if usage else why}: look at {where}--pytest-args"
        )
    if done.code == _INTERNAL:
        internal = re.findall(r"^INTERNALERROR> (\w.*)$", done.output, re.MULTILINE)
        return f"pytest or one of its plugins broke: {internal[-1] if internal else why}"
    return f"pytest ended with exit code {done.code}: {(recorded and recorded.stopped) or why}"


def _find_contradiction(counts: Counts, recorded: Recorded | None) -> StepError | None:
    """Find where the tests' own code says of an outcome what it was not."""
    if recorded is None:
        return None
    failed, reported = len(recorded.failed), len(counts.failures)
    borrowed = _find_borrowed_names(counts, recorded)
    if recorded.hidden:
        names = _join_some([_short(name) for name in recorded.hidden], ", ")
        what = f"{names} failed, and a hook says that it passed"
    elif borrowed:
        what = f"no test {_join_some(borrowed, ', ')} failed, and the report lists one as allowed"
    elif failed > reported:
        names = _join_some([_short(name) for name in recorded.failed], ", ")
        what = f"{pluralize(failed, 'test')} failed ({names}), and the report lists {reported}"
    elif recorded.complete and counts.passed and not recorded.passed:
        passed = f"{counts.passed} of {pluralize(counts.total, 'test')}"
        what = f"the report lists {passed} as passed, and none did"
    else:
        return None
    return UserCodeError(
        f"the test report contradicts the run: {what}: look in conftest.py and in pytest's plugins "
        "for what rewrites it",
        reason=Reason.TESTS_BROKEN,
    )


def _find_borrowed_names(counts: Counts, recorded: Recorded) -> list[str]:
    """Return the names of allowed failures that more tests have in the report than failed.

    A test can rename itself in the report. Parameters, in brackets, may be spelled differently.
    """
    allowed = (failure.name for failure in counts.failures if failure.allowed)
    found = Counter(_short(name).partition("[")[0] for name in allowed)
    return list(found - Counter(_short(name).partition("[")[0] for name in recorded.failed))


def _find_failures(counts: Counts, recorded: Recorded | None) -> StepError | None:
    failed = [failure for failure in counts.failures if not failure.allowed]
    if not failed:
        return None
    names = _join_some([_short(failure.name) for failure in failed], ", ")
    message = f"{len(failed)} of {pluralize(counts.total, 'test')} failed: {names}"
    if counts.errors:
        message += f" ({counts.errors} in setup, teardown or collection)"
    if counts.allowed:
        message += f"; {pluralize(counts.allowed, 'more failure')} allowed"
    if recorded and not recorded.complete:
        message += f"; not all tests ran: {_why_stopped(recorded)}"
    return UserCodeError(message, reason=Reason.TESTS_FAILED)


def _find_tests_that_did_not_run(counts: Counts, recorded: Recorded | None) -> StepError | None:
    if recorded is None:
        return UserCodeError(
            "pytest ended without saying which tests ran", reason=Reason.TESTS_BROKEN
        )
    if not recorded.complete and (counts.total or recorded.stopped):
        return UserCodeError(
            f"pytest stopped before all tests ran: {_why_stopped(recorded)}",
            reason=Reason.TESTS_BROKEN,
        )
    if counts.total > counts.skipped:
        return None
    expected = sum(case.expected for case in counts.cases)
    if not counts.total:
        message = "pytest ran no test"
    elif expected:
        message = f"none of {pluralize(counts.total, 'test')} passed: {expected} failed as expected"
        message += f", {counts.skipped - expected} were skipped"
    else:
        message = f"all {pluralize(counts.total, 'test')} were skipped: {counts.cases[0].message}"
    return UserCodeError(message, reason=Reason.NO_TESTS)


def _why_stopped(recorded: Recorded) -> str:
    if recorded.stopped or not recorded.missing:
        return recorded.stopped or "it did not finish collecting them"
    missing, names = len(recorded.missing), _join_some(recorded.missing, ", ")
    return f"{missing} of {pluralize(recorded.collected, 'test')} did not run: {names}"


def _find_other_failure(
    done: Completed, counts: Counts, recorded: Recorded | None
) -> StepError | None:
    """Find a failure besides those of tests: too low a coverage, or a plugin's objection."""
    if not done.code:
        return None
    if coverage := _COVERAGE.search(done.output):
        why = re.sub(r"^(?:FAIL|ERROR:) ", "", coverage[0].strip())
        return UserCodeError(f"{counts}, but: {why}", reason=Reason.TESTS_FAILED)
    if counts.allowed and not (recorded and recorded.overruled):
        return None
    failed = "only allowed tests" if counts.allowed else "no test"
    return UserCodeError(
        f"pytest ended with exit code {done.code} though {failed} failed: "
        f"{_last_line(done.output)}",
        reason=Reason.TESTS_FAILED,
    )


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "(it printed nothing)"


def _short(name: str) -> str:
    """Return a test's name without file and class; its parameter, in brackets, may hold ``::``."""
    named, bracket, parameter = name.partition("[")
    return f"{named.rpartition('::')[2]}{bracket}{parameter}"


def _join_some(items: Sequence[str], separator: str) -> str:
    more = len(items) - _MAX_NAMES
    shown = separator.join(items[:_MAX_NAMES])
    return f"{shown} and {more} more" if more > 0 else shown
