"""What the checks found, as a table or as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from tasks.cluster.tool.kubectl import CannotAskError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class Status(Enum):
    """How a check ended."""

    OK = "ok"
    NOTE = "note"  # worth knowing, nothing must be done
    TODO = "todo"  # something must be done before runs work
    UNKNOWN = "unknown"  # this user may not ask


@dataclass(frozen=True)
class Finding:
    """One line of the table: what was checked, what was found, what to do about it."""

    status: Status
    check: str
    found: str
    remedy: str = ""


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(Status.OK, check, found)


def note(check: str, found: str, remedy: str = "") -> Finding:
    """Nothing must be done."""
    return Finding(Status.NOTE, check, found, remedy)


def todo(check: str, found: str, remedy: str) -> Finding:
    """Something must be done."""
    return Finding(Status.TODO, check, found, remedy)


def guarded(check: str, question: Iterator[Finding]) -> Iterator[Finding]:
    """Yield what ``question`` finds, and a finding in place of a refusal of it alone.

    Raises :class:`CannotAskError`: then no other question has an answer either.
    """
    try:
        yield from question
    except CannotAskError:
        raise
    except RefusedError as refusal:
        remedy = "ask somebody who may read this"
        yield Finding(Status.UNKNOWN, check, f"cannot tell: {refusal}", remedy)


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 1 if something must be done, 2 if not all could be asked, 0 if all is well."""
    statuses = {finding.status for finding in findings}
    if Status.TODO in statuses:
        return 1
    return 2 if Status.UNKNOWN in statuses else 0


def table(findings: Sequence[Finding]) -> Iterator[str]:
    """Return a line for each finding, and its remedy below it."""
    width = max((len(finding.check) for finding in findings), default=0)
    for finding in findings:
        yield f"{finding.status.value:<7}  {finding.check:<{width}}  {finding.found}"
        if finding.remedy:
            yield f"{'':<7}  {'':<{width}}  -> {finding.remedy}"


def document(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Return the findings for JSON."""
    return [
        {
            "status": finding.status.value,
            "check": finding.check,
            "found": finding.found,
            "remedy": finding.remedy,
        }
        for finding in findings
    ]
