"""The cells of notebooks as a JUnit file: one test suite a notebook, one test case a cell.

GitLab, Jenkins, Azure, Buildkite and GitHub's reporters read it. It keeps to Jenkins' schema
``junit-10.xsd``, which knows properties of a suite only: those of a cell are named after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError, Evidence, UserCodeError
from stepkit.formats import evidence_text, sizes
from stepkit.formats.plain_text import plain
from stepkit.formats.shorten import shorten
from stepkit.notebook import cell_title
from stepkit.notebook.verdict import CellRun
from stepkit.redaction import redact
from stepkit.system import atomic_files, checkout_paths

if TYPE_CHECKING:
    from pathlib import Path
    from xml.etree.ElementTree import Element

MAX_BYTES: Final = 10 * 2**20
_MOST_HEAD: Final = 1024  # bytes in which a JUnit file says that it is one
_MOST_MESSAGE: Final = 500  # characters of an attribute
_SHORT_TEXT: Final = 500  # last characters of a failure's text in a file that would be too large
_WHOLE: Final = "the whole run"  # the case of what is not about a cell
_NOT_XML: Final = re.compile("[\ud800-\udfff\ufffe\uffff]")
_FOUND_BAD: Final = {"error", "stopped"}


@dataclass(frozen=True, kw_only=True)
class Suite:
    """One notebook: how it ended, and its cells.

    ``notebook`` is its path as given; the file has its path in its repository, which stays the same
    from run to run. ``skipped`` says by its number why a rule took a cell out of the run.
    ``reason``, ``message`` and ``exit_code`` are those of the step; of a notebook that did not run,
    ``did_not_run`` says why. ``started`` is an ISO-8601 time.
    """

    notebook: str
    cells: Sequence[CellRun] = ()
    skipped: Mapping[int, str] = field(default_factory=dict)
    reason: str = "ok"
    message: str = ""
    exit_code: int | None = 0
    did_not_run: str = ""
    seconds: float = 0.0
    started: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Case:
    """One test case; ``kind`` is the element that says how it ended, ``""`` for one that passed."""

    name: str
    kind: str = ""
    type: str = ""
    message: str = ""
    text: str = ""
    seconds: float = 0.0
    output: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)


def with_outputs(suite: Suite, outputs: Mapping[str, Any]) -> Suite:
    """Return ``suite`` with its cells from the outputs of execute-notebook, as in its report."""
    cells = [_cell(cell) for cell in outputs.get("cells") or ()]
    ran = {cell.number for cell in cells}
    done = [change for change in outputs.get("changes") or () if change.get("applied", True)]
    skipped = {
        number: "; ".join(change["what"] for change in done if change["cell"] == number)
        or "skipped"
        for number in range(1, (outputs.get("cells-total") or 0) + 1)
        if number not in ran
    }
    devices = (outputs.get("gpu") or {}).get("devices") or ()
    known = {
        "kernel": outputs.get("kernel"),
        "variant": outputs.get("variant"),
        "allocator": outputs.get("allocator"),
        "attempts": len(outputs.get("attempts") or ()),
        "gpu": ", ".join(str(device.get("name") or "unknown") for device in devices),
        "gpu_peak": outputs.get("gpu-memory-peak"),
        "rss_peak": max((cell.rss_peak for cell in cells if cell.rss_peak), default=None),
    }
    properties = {name: str(value) for name, value in known.items() if value}
    return replace(suite, cells=cells, skipped=skipped, properties=properties)


def _cell(data: Mapping[str, Any]) -> CellRun:
    known = {field.name for field in fields(CellRun)}
    found = {name: value for name, value in data.items() if name in known}
    error = data.get("error")
    return CellRun(**{**found, "error": evidence_text.of_json(error) if error else None})


def write(path: Path, suites: Sequence[Suite]) -> None:
    """Write the file, whole or not at all; an earlier JUnit file is replaced.

    Raises :class:`~stepkit.errors.StepError`, also for a path at which another file lies, such as
    a notebook.
    """
    with atomic_files.explaining(f"cannot write {path}"):
        if path.is_file() and path.stat().st_size:
            with path.open("rb") as file:
                if b"<testsuite" not in file.read(_MOST_HEAD):
                    raise ConfigurationError(
                        f"cannot write {path}: the file there is not a JUnit file: name another one"
                    )
    atomic_files.write_atomically(path, render(suites))


def render(suites: Sequence[Suite]) -> bytes:
    """Return the file, at most :data:`MAX_BYTES` long.

    One that would be longer has shorter texts, and then one case for each notebook that passed.
    """
    cases = [(suite, list(_cases(suite))) for suite in suites]
    document = _document(cases)
    if len(document) > MAX_BYTES:
        cases = [(suite, [_shortened(case) for case in found]) for suite, found in cases]
        document = _document(cases)
    if len(document) > MAX_BYTES:
        document = _document([(suite, _folded(suite, found)) for suite, found in cases])
    return document


def _cases(suite: Suite) -> Iterator[_Case]:
    """Yield the cells in their order, and a case for the whole run where no cell says it."""
    if suite.did_not_run:
        yield _Case(name=_WHOLE, kind="skipped", message=suite.did_not_run)
        return
    skipped = sorted(suite.skipped.items())
    for cell in sorted(suite.cells, key=lambda cell: cell.index):
        while skipped and skipped[0][0] < cell.number:
            yield _skipped(*skipped.pop(0))
        yield _case(suite, cell)
    for number, why in skipped:
        yield _skipped(number, why)
    if suite.exit_code != 0 and not any(cell.status in _FOUND_BAD for cell in suite.cells):
        kind = "failure" if suite.exit_code == UserCodeError.exit_code else "error"
        yield _Case(name=_WHOLE, kind=kind, type=suite.reason, message=suite.message)
    elif not suite.cells and not suite.skipped:
        yield _Case(name=_WHOLE)


def _skipped(number: int, why: str) -> _Case:
    return _Case(name=f"cell {number}", kind="skipped", type="skipped", message=why)


def _case(suite: Suite, cell: CellRun) -> _Case:
    names = {"parameters": "injected parameters", "rule": cell.id, "": f"cell {cell.number}"}
    name = names[cell.injected] or "injected cell"
    peaks = {"gpu_peak": cell.gpu_peak, "rss_peak": cell.rss_peak}
    error = cell.error or Evidence()
    # The same whether the cell fails or not: its own title names the line that failed.
    title = cell_title.title(error.source) or cell.title
    case = _Case(
        name=f"{name}: {title}".removesuffix(": "),
        seconds=cell.seconds or 0.0,
        output="\n".join([*_in_words(cell), *error.output]),
        properties={f"{name}.{key}": str(peak) for key, peak in peaks.items() if peak},
    )
    raised = f"{error.ename}: {error.evalue}".strip(": ")
    if raised and cell.title != title:
        raised = f"{raised} in `{cell.title}`"
    text = "\n".join(evidence_text.lines(error, where=cell.name))
    match cell.status:
        case "error" if suite.exit_code in {0, UserCodeError.exit_code}:
            return replace(case, kind="failure", type=error.ename, message=raised, text=text)
        case "error" | "stopped":
            text = f"{suite.message}\n{text}".rstrip()
            message = raised if cell.status == "error" else suite.message
            return replace(case, kind="error", type=suite.reason, message=message, text=text)
        case "tolerated":
            why = f"tolerated: {cell.tolerance or 'no reason is given'}"
            text = f"{raised}\n{text}".rstrip()
            return replace(case, kind="skipped", type="tolerated", message=why, text=text)
        case "not-run":
            why = f"not run: {suite.message}"
            return replace(case, kind="skipped", type="not-run", message=why)
        case _:
            return case


def _in_words(cell: CellRun) -> Iterator[str]:
    """Yield what few readers of JUnit show of properties."""
    if cell.status == "expected-error":
        yield "raised an error that its tag raises-exception expects"
    if cell.gpu_peak:
        yield f"GPU memory peak: {sizes.spell(cell.gpu_peak)}"
    if cell.rss_peak:
        yield f"memory peak: {sizes.spell(cell.rss_peak)}"


def _shortened(case: _Case) -> _Case:
    text = case.text if len(case.text) <= _SHORT_TEXT else f"...{case.text[3 - _SHORT_TEXT :]}"
    return replace(case, text=text, output="", properties={})


def _folded(suite: Suite, cases: list[_Case]) -> list[_Case]:
    """Return one case for the cells of a notebook that passed, and of another those that did not.

    The cases that are left out are counted.
    """
    bad = [replace(case, text="") for case in cases if case.kind not in {"", "skipped"}]
    rest = len(cases) - len(bad)
    return [
        *bad,
        _Case(name=f"{rest} cells that are not listed", seconds=0 if bad else suite.seconds),
    ]


def _document(suites: Sequence[tuple[Suite, Sequence[_Case]]]) -> bytes:
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
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _add_suite(
    root: Element, attributes: Mapping[str, str], suite: Suite, cases: Sequence[_Case]
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
