"""Read JUnit files with readers that are not ours: Jenkins' schema, and junitparser."""

from functools import cache
from pathlib import Path
from typing import TypeAlias
from xml.etree import ElementTree as ET

import xmlschema
from junitparser import JUnitXml, TestSuite

Case: TypeAlias = tuple[str, str, str]  # name, what kind of end ("" for passed), its message

_SCHEMA = Path(__file__).parent / "notebook/junit-10.xsd"


@cache
def _schema() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(_SCHEMA)


def suites(document: bytes | Path) -> list[TestSuite]:
    """Return the suites of a file that Jenkins accepts and whose totals are right."""
    data = document.read_bytes() if isinstance(document, Path) else document
    _schema().validate(ET.fromstring(data))
    file = JUnitXml.fromstring(data)
    found = list(file)
    for suite in found:
        kinds = [how for _, how, _ in cases(suite)]
        counts = [len(kinds), *map(kinds.count, ("failure", "error", "skipped"))]
        assert [suite.tests, suite.failures, suite.errors, suite.skipped] == counts
    totals = [sum(getattr(s, name) for s in found) for name in ("tests", "failures", "errors")]
    assert [file.tests, file.failures, file.errors] == totals
    return found


def cases(suite: TestSuite) -> list[Case]:
    """Return each case of a suite as its name, how it ended, and the message of that."""
    return [
        (case.name, *next(((kind(end), end.message or "") for end in case.result), ("", "")))
        for case in suite
    ]


def kind(end: object) -> str:
    """Return how a case ended: failure, error or skipped."""
    return type(end).__name__.lower()


def properties(suite: TestSuite) -> dict[str, str]:
    """Return the properties of a suite."""
    found = suite.properties()  # type: ignore[no-untyped-call]
    return {entry.name: entry.value for entry in found}
