"""Test cases as the XML of a JUnit file, as Jenkins' schema ``junit-10.xsd`` wants it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from stepkit.formats.plain_text import plain
from stepkit.formats.shorten import shorten
from stepkit.redaction import redact
from stepkit.system import checkout_paths

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from stepkit.notebook.cells_junit import Suite

_MOST_MESSAGE: Final = 500  # characters of an attribute
_NOT_XML: Final = re.compile("[\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, kw_only=True)
class Failure:
    """How an earlier attempt at a case ended that passed in the end.

    ``kind`` is the element that says it, in the words of Maven Surefire's schema: flakyFailure or
    flakyError.
    """

    kind: str
    type: str
    message: str
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One test case; ``kind`` is the element that says how it ended, ``""`` for one that passed."""

    name: str
    kind: str = ""
    type: str = ""
    message: str = ""
    text: str = ""
    seconds: float = 0.0
    output: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)
    earlier: Sequence[Failure] = ()


def document(suites: Sequence[tuple[Suite, Sequence[Case]]]) -> bytes:
    """Return the file with a suite for each notebook and its cases."""
    import xml.etree.ElementTree as ET

    root = ET.Element("testsuites", name="notebooks")
    totals = {"tests": 0, "failures": 0, "errors": 0}
    for suite, cases in suites:
        kinds = [case.kind for case in cases]
        counts = {
            "tests": len(cases),
            "failures": kinds.count("failure"),
            "errors": kinds.count("error"),
        }
        totals = {name: number + counts[name] for name, number in totals.items()}
        notebook = checkout_paths.in_repository(suite.notebook)
        attributes = {
            "name": notebook,
            **{name: str(number) for name, number in counts.items()},
            "skipped": str(kinds.count("skipped")),
            "time": f"{suite.seconds:.3f}",
            "file": notebook,
            **({"timestamp": suite.started} if suite.started else {}),
        }
        _add_suite(root, attributes, suite, cases)
    root.set("time", f"{sum(suite.seconds for suite, _ in suites):.3f}")
    for name, number in totals.items():
        root.set(name, str(number))
    ET.indent(root)
    found: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return found + b"\n"


def _add_suite(
    root: Element, attributes: Mapping[str, str], suite: Suite, cases: Sequence[Case]
) -> None:
    import xml.etree.ElementTree as ET

    element = ET.SubElement(root, "testsuite", {k: _line(v) for k, v in attributes.items()})
    known = dict(suite.properties)
    for case in cases:
        known |= case.properties
    if known:
        properties = ET.SubElement(element, "properties")
        for name, value in known.items():
            ET.SubElement(properties, "property", name=_line(name), value=_line(value))
    classname = _classname(attributes["file"])
    for case in cases:
        found = ET.SubElement(
            element,
            "testcase",
            classname=classname,
            name=_line(case.name),
            time=f"{case.seconds:.3f}",
        )
        if case.kind:
            said = {"message": _line(case.message), "type": _line(case.type)}
            inner = ET.SubElement(found, case.kind, {k: v for k, v in said.items() if v})
            inner.text = _text(case.text) or None
        for failure in case.earlier:
            said = {"message": _line(failure.message), "type": _line(failure.type)}
            again = ET.SubElement(found, failure.kind, said)
            ET.SubElement(again, "stackTrace").text = _text(failure.text)
        if case.output:
            ET.SubElement(found, "system-out").text = _text(case.output)


def _classname(notebook: str) -> str:
    """Return the path in the form of a module, ``source.analysis``: readers cut names at dots."""
    parts = [part for part in PurePath(notebook).with_suffix("").parts if part not in {"/", ".."}]
    return _line(".".join(part.replace(".", "_") for part in parts))


def _line(text: str) -> str:
    """Return one line that an attribute can hold, without secrets."""
    return shorten(" ".join(_text(text).split()), _MOST_MESSAGE)


def _text(text: str) -> str:
    """Return text that XML can hold, without colours and secrets."""
    return _NOT_XML.sub("\ufffd", plain(redact(text)))
