"""The cells of notebooks as a JUnit file: one test suite a notebook, one test case a cell.

GitLab, Jenkins, Azure, Buildkite and GitHub's reporters read it. It keeps to Jenkins' schema
``junit-10.xsd``, which knows properties of a suite only: those of a cell are named after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError, Evidence, Reason, UserCodeError
from stepkit.formats import evidence_text, golden_text, sizes
from stepkit.notebook import cell_title, cpu_fallback, junit_xml
from stepkit.notebook.junit_xml import Case, Failure
from stepkit.notebook.verdict import CellRun
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES: Final = 10 * 2**20
_MOST_HEAD: Final = 1024  # bytes in which a JUnit file says that it is one
_SHORT_TEXT: Final = 500  # last characters of a failure's text in a file that would be too large
_WHOLE: Final = "the whole run"  # the case of what is not about a cell
_FOUND_BAD: Final = {"error", "stopped"}


@dataclass(frozen=True, kw_only=True)
class Suite:
    """One notebook: how it ended, and its cells.

    ``notebook`` is its path as given; the file has its path in its repository, which stays the same
    from run to run. ``skipped`` says by its number why a rule took a cell out of the run.
    ``reason``, ``message`` and ``exit_code`` are those of the step; of a notebook that did not run,
    ``did_not_run`` says why. ``started`` is an ISO-8601 time. ``attempts`` are those that failed by
    bad luck before the one whose cells these are, as in its report; of a notebook that failed in
    the end, there are none. ``differences`` are outputs that are not the golden ones, as in the
    report.
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
    attempts: Sequence[Mapping[str, Any]] = ()
    differences: Sequence[Mapping[str, Any]] = ()


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
    return replace(
        suite,
        cells=cells,
        skipped=skipped,
        properties=properties,
        attempts=_unlucky(outputs.get("attempts") or ()),
        differences=(outputs.get("golden") or {}).get("differences") or (),
    )


def _unlucky(attempts: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the attempts before one that passed, but those that led to a lower allocator."""
    if not attempts or attempts[-1].get("status") not in {"succeeded", "tolerated"}:
        return []
    full = Reason.GPU_OUT_OF_MEMORY
    return [attempt for attempt in attempts[:-1] if attempt.get("reason") != full]


def _cell(data: Mapping[str, Any]) -> CellRun:
    known = {field.name for field in fields(CellRun)}
    found = {name: value for name, value in data.items() if name in known}
    error = data.get("error")
    found["error"] = evidence_text.of_json(error) if error else None
    found["cpu_fallback"] = cpu_fallback.of_json(data.get("cpu_fallback"))
    return CellRun(**found)


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
    document = junit_xml.document(cases)
    if len(document) > MAX_BYTES:
        cases = [(suite, [_shortened(case) for case in found]) for suite, found in cases]
        document = junit_xml.document(cases)
    if len(document) > MAX_BYTES:
        document = junit_xml.document([(suite, _folded(suite, found)) for suite, found in cases])
    return document


def _cases(suite: Suite) -> Iterator[Case]:
    """Yield the cells in their order, and a case for the whole run where no cell says it."""
    if suite.did_not_run:
        yield Case(name=_WHOLE, kind="skipped", message=suite.did_not_run)
        return
    skipped = sorted(suite.skipped.items())
    for cell in sorted(suite.cells, key=lambda cell: cell.index):
        while skipped and skipped[0][0] < cell.number:
            yield _skipped(*skipped.pop(0))
        yield _case(suite, cell)
    for number, why in skipped:
        yield _skipped(number, why)
    indices = {cell.index for cell in suite.cells}
    elsewhere = [one for one in suite.attempts if one.get("cell") not in indices]
    outside = tuple(map(_flaky, elsewhere))
    said = suite.differences or any(cell.status in _FOUND_BAD for cell in suite.cells)
    if suite.exit_code != 0 and not said:
        kind = "failure" if suite.exit_code == UserCodeError.exit_code else "error"
        yield Case(
            name=_WHOLE, kind=kind, type=suite.reason, message=suite.message, earlier=outside
        )
    elif outside or not (suite.cells or suite.skipped):
        yield Case(name=_WHOLE, earlier=outside)


def _flaky(attempt: Mapping[str, Any]) -> Failure:
    """Return how an attempt ended that another one followed."""
    by_code = attempt.get("exit_code") == UserCodeError.exit_code
    error = attempt.get("error")
    evidence = evidence_text.of_json(error) if error else Evidence()
    return Failure(
        kind="flakyFailure" if by_code else "flakyError",
        type=str(attempt.get("reason")),
        message=f"attempt {attempt['number']}: {attempt['message']}",
        text="\n".join(evidence_text.lines(evidence, where=f"attempt {attempt['number']}")),
    )


def _skipped(number: int, why: str) -> Case:
    return Case(name=f"cell {number}", kind="skipped", type="skipped", message=why)


def _case(suite: Suite, cell: CellRun) -> Case:
    names = {"parameters": "injected parameters", "rule": cell.id, "": f"cell {cell.number}"}
    name = names[cell.injected] or "injected cell"
    peaks = {"gpu_peak": cell.gpu_peak, "rss_peak": cell.rss_peak}
    error = cell.error or Evidence()
    # The same whether the cell fails or not: its own title names the line that failed.
    title = cell_title.title(error.source) or cell.title
    case = Case(
        name=f"{name}: {title}".removesuffix(": "),
        seconds=cell.seconds or 0.0,
        output="\n".join([*_in_words(cell), *error.output]),
        properties={f"{name}.{key}": str(peak) for key, peak in peaks.items() if peak},
        earlier=[_flaky(one) for one in suite.attempts if one.get("cell") == cell.index],
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
            return _compared(case, [d for d in suite.differences if d["index"] == cell.index])


def _compared(case: Case, differences: Sequence[Mapping[str, Any]]) -> Case:
    """Return the case of a cell that ran: a failure if its outputs are not the golden ones."""
    if not differences:
        return case
    text = "\n\n".join("\n".join(golden_text.lines(each)) for each in differences)
    message = f"{differences[0]['output']}: {differences[0]['message']}"
    return replace(case, kind="failure", type=Reason.OUTPUTS_DIFFER, message=message, text=text)


def _in_words(cell: CellRun) -> Iterator[str]:
    """Yield what few readers of JUnit show of properties."""
    if cell.status == "expected-error":
        yield "raised an error that its tag raises-exception expects"
    if cell.gpu_peak:
        yield f"GPU memory peak: {sizes.spell(cell.gpu_peak)}"
    if cell.rss_peak:
        yield f"memory peak: {sizes.spell(cell.rss_peak)}"
    if cell.cpu_fallback:
        yield str(cell.cpu_fallback)


def _shortened(case: Case) -> Case:
    text = case.text if len(case.text) <= _SHORT_TEXT else f"...{case.text[3 - _SHORT_TEXT :]}"
    earlier = [replace(failure, text="") for failure in case.earlier]
    return replace(case, text=text, output="", properties={}, earlier=earlier)


def _folded(suite: Suite, cases: list[Case]) -> list[Case]:
    """Return one case for the cells of a notebook that passed, and of another those that did not.

    The cases that are left out are counted.
    """
    listed = (case for case in cases if case.kind not in {"", "skipped"} or case.earlier)
    bad = [replace(case, text="") for case in listed]
    rest = len(cases) - len(bad)
    return [
        *bad,
        Case(name=f"{rest} cells that are not listed", seconds=0 if bad else suite.seconds),
    ]
