"""The clock of a run: milliseconds from the start of its first step."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from stepkit.report import unchecked_values

if TYPE_CHECKING:
    from stepkit.report.steps_of_run import Entry, Run

_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True)
class RunClock:
    """``zero`` is when the first step began, None where no report says so."""

    zero: datetime | None

    @classmethod
    def of(cls, run: Run) -> RunClock:
        """Return the clock of ``run``."""
        starts = (read_time(entry.started) for entry in run.entries)
        return cls(min((start for start in starts if start), default=None))

    @property
    def started(self) -> str | None:
        """The zero as an ISO-8601 time in UTC with milliseconds."""
        return self.zero.isoformat(timespec="milliseconds") if self.zero else None

    def at(self, time: Any) -> int | None:
        """Return when an ISO-8601 time was, None for what is not one."""
        when = read_time(time)
        return (when - self.zero) // _MILLISECOND if when and self.zero else None

    def moved(self, began: Any, to: Any) -> RunClock:
        """Return a clock on which what ``began`` in an earlier run begins at the time ``to``."""
        then, now = read_time(began), read_time(to)
        return RunClock(self.zero + (then - now)) if self.zero and then and now else self

    def end(self, run: Run) -> int | None:
        """Return when the last step ended that is known to have begun."""
        spans = [(self.at(entry.started), length(entry)) for entry in run.entries]
        return max(
            (start + (span or 0) for start, span in spans if start is not None), default=None
        )


def read_time(time: Any) -> datetime | None:
    """Return an ISO-8601 time in UTC, None for what is not one; one without a zone is in UTC."""
    try:
        found = datetime.fromisoformat(time)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def length(entry: Entry) -> int | None:
    """Return how many milliseconds a step took, None where it did not end or left no report."""
    if not entry.data or entry.unfinished:
        return None
    return unchecked_values.duration(entry.seconds)
