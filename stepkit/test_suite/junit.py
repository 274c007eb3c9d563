"""JUnit reports: which tests ran and how each ended, counted from the tests themselves.

The totals in a report are never read: they can be wrong, and a test that was run again is listed
twice. A report is untrusted input.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from stepkit.errors import MOST_TRACEBACK, Reason, UserCodeError
from stepkit.formats.last_lines import last_lines
from stepkit.formats.plain_text import plain
from stepkit.formats.shorten import shorten
from stepkit.redaction import redact

if TYPE_CHECKING:
    from pathlib import Path
    from xml.etree.ElementTree import Element

Outcome = Literal["passed", "skipped", "error", "failed"]

MAX_BYTES: Final = 200 * 2**20
MAX_DEPTH: Final = 64  # elements in elements; a real report has 4
_MAX_MESSAGE: Final = 303  # characters of a failure's message

_WORSE: Final[dict[Outcome, int]] = {"passed": 0, "skipped": 1, "error": 2, "failed": 3}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One test: ``error`` is a failure of its setup, its teardown or its collection.

    ``message`` is one line; ``file`` may be empty. A test that was expected to fail and did is
    ``skipped`` and ``expected``. ``text`` is pytest's text of a failure, its last
    :data:`~stepkit.errors.MOST_TRACEBACK` lines, and ``left_out`` counts those before them.
    ``seconds`` is None where the report does not say it.
    """

    name: str
    classname: str
    file: str = ""
    outcome: Outcome = "passed"
    message: str = ""
    text: str = ""
    left_out: int = 0
    seconds: float | None = None
    expected: bool = False

    @property
    def node(self) -> str:
        """The test's name as pytest shows it: ``tests/test_x.py::TestA::test_y``."""
        if not self.file:
            return f"{self.classname}::{self.name}" if self.classname else self.name
        if not self.classname:  # a file that could not be collected
            return self.file
        module = self.file.removesuffix(".py").replace("/", ".")
        inside = self.classname.removeprefix(module).strip(".")
        return "::".join([self.file, *inside.split("."), self.name] if inside else
                         [self.file, self.name])  # fmt: skip


def read(path: Path) -> tuple[Case, ...]:
    """Return every test in the report once, with the worst of its outcomes.

    Raises :class:`UserCodeError` when the report is missing, broken or too large: then it is
    unknown how the tests ended.
    """
    import xml.etree.ElementTree as ET

    import defusedxml
    from defusedxml.ElementTree import iterparse

    try:
        size = path.stat().st_size
    except OSError as error:
        raise _broken(path, "is missing: pytest ended without writing it") from error
    if not path.is_file():  # a pipe, which nobody writes to
        raise _broken(path, "is not a regular file")
    if size > MAX_BYTES:
        raise _broken(path, f"has {size} bytes, more than the {MAX_BYTES} that are read")
    try:
        cases = _read_cases(path, iterparse(path, events=("start", "end"), forbid_dtd=True))
    except (ET.ParseError, defusedxml.DefusedXmlException, ValueError, LookupError) as error:
        raise _broken(path, f"is not XML that can be read ({error})") from error
    except OSError as error:
        raise _broken(path, f"cannot be read ({error.strerror})") from error
    worst: dict[tuple[str, str], Case] = {}
    for case in cases:
        key = case.classname, case.name
        if key not in worst or _WORSE[case.outcome] > _WORSE[worst[key].outcome]:
            worst[key] = case
    return tuple(worst.values())


def _read_cases(path: Path, events: object) -> list[Case]:
    cases: list[Case] = []
    depth = 0
    for event, element in events:  # type: ignore[attr-defined]  # defusedxml has no types for it
        if event == "end":
            depth -= 1
            if element.tag == "testcase":
                cases.append(_read_case(element))
                element.clear()
            continue
        if not depth and element.tag not in {"testsuites", "testsuite"}:
            raise _broken(path, f"is not a JUnit report: it begins with <{element.tag}>")
        depth += 1
        if depth > MAX_DEPTH:
            raise _broken(path, f"nests elements over {MAX_DEPTH} deep")
    return cases


def _read_case(element: Element) -> Case:
    found: dict[Outcome, Element] = {}
    tags: dict[str, Outcome] = {"failure": "failed", "error": "error", "skipped": "skipped"}
    for child in element:
        if child.tag in tags:
            found.setdefault(tags[child.tag], child)
    outcome: Outcome = max(("passed", *found), key=_WORSE.__getitem__)
    detail = found.get(outcome)
    message, text, left_out = "", "", 0
    if detail is not None:
        message = _plain(detail.get("message", "")).strip()
        raised = re.findall(r"^E {2,}(\S.*)$", detail.text or "", re.MULTILINE)
        if raised and message in {"", "collection failure"}:  # the error is in the text alone
            message = raised[-1]
        message = shorten(message.partition("\n")[0].strip(), _MAX_MESSAGE)
        if outcome != "skipped":
            text, left_out = last_lines(_plain(detail.text or ""), MOST_TRACEBACK)
    return Case(
        name=element.get("name", ""),
        classname=element.get("classname", ""),
        file=element.get("file", ""),
        outcome=outcome,
        message=message,
        text=text,
        left_out=left_out,
        seconds=_seconds(element.get("time", "")),
        expected=detail is not None and detail.get("type") == "pytest.xfail",
    )


def _plain(text: str) -> str:
    """Return ``text`` without colours and known secrets, before it is cut.

    pytest spells the character that begins a colour ``#x1B``.
    """
    return redact(plain(text.replace("#x1B", "\x1b")))


def _seconds(text: str) -> float | None:
    with suppress(ValueError):
        seconds = float(text.replace(",", ""))
        return seconds if math.isfinite(seconds) and seconds >= 0 else None
    return None


def _broken(path: Path, why: str) -> UserCodeError:
    return UserCodeError(
        f"the test report {path} {why}: how the tests ended is unknown",
        reason=Reason.TESTS_BROKEN,
    )
