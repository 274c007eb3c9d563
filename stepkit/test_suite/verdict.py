"""What a run of pytest amounts to: its exit code, its report and what a witness saw, together."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, Final

from stepkit.errors import Reason, StepError, ToolError, UserCodeError
from stepkit.test_suite.counts import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepkit.system.process import Completed
    from stepkit.test_suite.counts import Tally
    from stepkit.test_suite.record_outcomes import Seen

_SHOWN_NAMES: Final = 5
_FAILED, _INTERRUPTED, _INTERNAL, _USAGE, _NOTHING = 1, 2, 3, 4, 5  # pytest.ExitCode

# Signals that a process does not send itself by crashing.
_FROM_OUTSIDE: Final = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_COVERAGE: Final = re.compile(
    r"^.*(?:Required test coverage of .* not reached|Coverage failure).*$", re.MULTILINE
)


def judge(
    done: Completed,
    counted: Tally,
    unread: StepError | None,
    seen: Seen | None,
    *,
    out_of_memory: bool,
) -> StepError | None:
    """Return what is wrong with the run, or None if it passed (with allowed failures or without).

    ``unread`` says why the JUnit report could not be read, if it could not; ``seen`` which
    tests ran, if pytest got to its end; ``out_of_memory`` that the OOM killer was at work.
    """
    return (
        _ended_badly(done, counted, seen, out_of_memory=out_of_memory)
        or _unread(done, unread)
        or _failed(counted, seen)
        or _stopped_early(counted, seen)
        or _proved_nothing(counted)
        or _contradicted(done, counted, seen)
    )


def _ended_badly(
    done: Completed, counted: Tally, seen: Seen | None, *, out_of_memory: bool
) -> StepError | None:
    last = _last_line(done.output)
    if done.timed_out:
        known = f" ({counted} by then)" if counted.total else ""
        return UserCodeError(
            f"pytest did not end within {done.seconds:.0f} s{known}; its last line: {last}: "
            "allow more with --timeout, or find what hangs",
            reason=Reason.TIMEOUT,
        )
    if done.code < 0:
        return _killed(-done.code, last, out_of_memory=out_of_memory)
    if done.code == _NOTHING:
        return UserCodeError("pytest found no test to run", reason=Reason.NO_TESTS)
    if done.code in {0, _FAILED}:
        return None
    return UserCodeError(_crash(done, counted, seen), reason=Reason.TESTS_BROKEN)


def _unread(done: Completed, unread: StepError | None) -> StepError | None:
    if unread is None:
        return None
    message = f"{unread}; pytest's last line: {_last_line(done.output)}"
    return type(unread)(message, reason=unread.reason)


def _killed(signum: int, last: str, *, out_of_memory: bool) -> StepError:
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


def _crash(done: Completed, counted: Tally, seen: Seen | None) -> str:
    raised = re.findall(r"^E {2,}(\S.*)$", done.output, re.MULTILINE)
    why = raised[-1] if raised else _last_line(done.output)
    broken = [f"{failure.name}: {failure.message}" for failure in counted.failures]
    if done.code == _INTERRUPTED and broken:
        return f"the tests could not be collected: {_some(broken, '; ')}"
    if done.code == _USAGE and (
        conftest := re.search(r"while loading conftest '(.*)'", done.output)
    ):
        return f"the tests could not be collected: {conftest[1]}: {why}"
    if done.code == _USAGE:
        said = re.search(r"^(?:.*: error: |ERROR: (?!usage))(.*)$", done.output, re.MULTILINE)
        ini = re.search(r"^ *inifile: (.*)$", done.output, re.MULTILINE)
        where = f"addopts in {ini[1]} and " if ini and ini[1] not in {"None", "/dev/null"} else ""
        return f"pytest refused to start: {said[1] if said else why}: look at {where}--pytest-args"
    if done.code == _INTERNAL:
        internal = re.findall(r"^INTERNALERROR> (\w.*)$", done.output, re.MULTILINE)
        return f"pytest or one of its plugins broke: {internal[-1] if internal else why}"
    return f"pytest ended with exit code {done.code}: {(seen and seen.stopped) or why}"


def _failed(counted: Tally, seen: Seen | None) -> StepError | None:
    bad = [failure for failure in counted.failures if not failure.allowed]
    if not bad:
        return None
    names = _some([failure.name.rpartition("::")[2] for failure in bad], ", ")
    message = f"{len(bad)} of {count(counted.total, 'test')} failed: {names}"
    if counted.errors:
        message += f" ({counted.errors} in setup, teardown or collection)"
    if counted.allowed:
        message += f"; {count(counted.allowed, 'more failure')} allowed"
    if seen and not seen.complete:
        message += f"; not all tests ran: {_why_stopped(seen)}"
    return UserCodeError(message, reason=Reason.TESTS_FAILED)


def _stopped_early(counted: Tally, seen: Seen | None) -> StepError | None:
    if seen is None:
        return UserCodeError(
            "pytest ended without saying which tests ran", reason=Reason.TESTS_BROKEN
        )
    if seen.complete or not (counted.total or seen.stopped):  # none ran: said better below
        return None
    return UserCodeError(
        f"pytest stopped before all tests ran: {_why_stopped(seen)}", reason=Reason.TESTS_BROKEN
    )


def _why_stopped(seen: Seen) -> str:
    if seen.stopped or not seen.missing:
        return seen.stopped or "it did not finish collecting them"
    names = _some(seen.missing, ", ")
    return f"{len(seen.missing)} of {count(seen.collected, 'test')} did not run: {names}"


def _proved_nothing(counted: Tally) -> StepError | None:
    if counted.total > counted.skipped:
        return None
    expected = sum(case.expected for case in counted.cases)
    if not counted.total:
        message = "pytest ran no test"
    elif expected:
        message = f"none of {count(counted.total, 'test')} passed: {expected} failed as expected"
        message += f", {counted.skipped - expected} were skipped"
    else:
        message = f"all {count(counted.total, 'test')} were skipped: {counted.cases[0].message}"
    return UserCodeError(message, reason=Reason.NO_TESTS)


def _contradicted(done: Completed, counted: Tally, seen: Seen | None) -> StepError | None:
    """Find what the tests themselves do not show: a coverage too low, a plugin that objects."""
    lacking = _COVERAGE.search(done.output)
    if lacking and done.code:
        why = re.sub(r"^(?:FAIL|ERROR:) ", "", lacking[0].strip())
        return UserCodeError(f"{counted}, but: {why}", reason=Reason.TESTS_FAILED)
    if done.code and (not counted.allowed or (seen and seen.overruled)):
        failed = "only allowed tests" if counted.allowed else "no test"
        return UserCodeError(
            f"pytest ended with exit code {done.code} though {failed} failed: "
            f"{_last_line(done.output)}",
            reason=Reason.TESTS_FAILED,
        )
    return None


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "(it printed nothing)"


def _some(items: Sequence[str], separator: str) -> str:
    more = len(items) - _SHOWN_NAMES
    shown = separator.join(items[:_SHOWN_NAMES])
    return f"{shown} and {more} more" if more > 0 else shown
