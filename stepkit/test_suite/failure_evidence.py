"""What shows why a test suite failed: the first failed test, or the last lines of pytest."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

from stepkit.errors import Evidence, Place
from stepkit.formats.last_lines import last_lines
from stepkit.formats.plain_text import plain
from stepkit.formats.shorten import shorten
from stepkit.redaction import redact
from stepkit.system import logfile

if TYPE_CHECKING:
    from pathlib import Path

    from stepkit.test_suite.junit import Case
    from stepkit.test_suite.outcome_totals import Counts

logger = logging.getLogger(__name__)

_MOST_FAILURES: Final = 5  # in the last lines of the log
_MOST_OUTPUT: Final = 20  # lines of pytest
_MOST_ASSERTION: Final = 8  # lines of one failure in the log
_LONGEST: Final = 200  # characters of one of them
_IN_FIXTURE: Final = re.compile(r'failed on (?:setup|teardown) with "(.*)"?', re.DOTALL)
_RAISED: Final = re.compile(r"([A-Za-z_][\w.]*)(?:: (.*))?", re.DOTALL)


def find(counts: Counts, output: str) -> Evidence:
    """Return the evidence of a failed run: its first failure that is not allowed.

    Without one, as after a time limit, it is the end of pytest's ``output``. No allowance covers a
    file that could not be collected.
    """
    if case := _deciding_case(counts):
        ename, evalue = split_exception(case.message)
        return Evidence(ename=ename, evalue=evalue, traceback=case.text, left_out=case.left_out)
    text, _ = last_lines(redact(plain(output)), _MOST_OUTPUT)
    return Evidence(output=tuple(line for line in text.split("\n") if line.strip()))


def find_place(counts: Counts, checkout: Path) -> Place | None:
    """Return where the first failure that is not allowed is in ``checkout``, None without one."""
    case = _deciding_case(counts)
    if case is None:
        return None
    file = case.node.partition("::")[0]
    lines = re.findall(rf"^{re.escape(file)}:([1-9][0-9]{{0,8}}): ", case.text, re.MULTILINE)
    if not (checkout / file).is_file():
        return Place(title=case.node)
    line = int(lines[-1]) if lines else None
    return Place(title=case.node, file=str(checkout / file), line=line)


def _deciding_case(counts: Counts) -> Case | None:
    allowed = {failure.name for failure in counts.failures if failure.allowed}
    for case in counts.cases:
        decides = case.node not in allowed or not case.classname  # a file that was not collected
        if case.outcome in {"failed", "error"} and decides:
            return case
    return None


def split_exception(message: str) -> tuple[str, str]:
    """Return name and text of the exception in pytest's message on a failure.

    An assertion without a text is shown as the expression alone.
    """
    if in_fixture := _IN_FIXTURE.fullmatch(message):
        message = in_fixture[1].removesuffix('"')
    if message.startswith("assert "):
        return "AssertionError", message
    raised = _RAISED.fullmatch(message)
    return (raised[1], raised[2] or "") if raised else ("", message)


def log_failures(counts: Counts) -> None:
    """Log the failures that are not allowed, below all that pytest printed.

    Each is one line, as in pytest's short test summary, and its assertion; five at most.
    """
    failures = [failure for failure in counts.failures if not failure.allowed]
    for failure in failures[:_MOST_FAILURES]:
        raised = re.findall(r"^(?:>|E) {2,}\S.*$", failure.text, re.MULTILINE)
        lines = [f"    {shorten(line, _LONGEST)}" for line in raised[:_MOST_ASSERTION]]
        title = f"FAILED {failure.name} - {failure.message}"
        logfile.log_block(logger, logging.ERROR, title, lines)
    if more := failures[_MOST_FAILURES:]:
        logfile.log_block(logger, logging.ERROR, f"and {len(more)} more", [])
