"""Compare the outputs of a notebook with those of a golden notebook.

Numbers may differ within limits, tables are compared cell by cell, images pixel by pixel. Rules
(--rules) say which cells are compared and how. With --accept, the notebook becomes the golden one.

For example:

    stepkit compare-notebook golden/analysis.ipynb out/analysis.ipynb --rtol 0.001

    stepkit compare-notebook golden/analysis.ipynb out/analysis.ipynb --accept
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from stepkit.options import DETAIL, POSITIONAL, PRINTED, READS, WRITES, AtLeast

if TYPE_CHECKING:
    from stepkit.notebook.cells_junit import Suite


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which notebooks to compare, and what may differ."""

    golden: Annotated[Path, "golden notebook, with the outputs that are right", POSITIONAL]
    notebook: Annotated[Path, "notebook that ran", POSITIONAL, READS]
    rules: Annotated[Path | None, "YAML file whose compare says what may differ", READS] = None
    variant: Annotated[str | None, "variant of the rules that was run"] = None
    rtol: Annotated[
        float | None, "by how much of the golden number a number may differ", AtLeast(0)
    ] = None
    atol: Annotated[float | None, "by how much a number may differ", AtLeast(0)] = None
    streams: Annotated[
        Literal["none", "stdout", "all"] | None, "what is compared of what cells print"
    ] = None
    normalise: Annotated[
        tuple[Literal["times", "paths"], ...], "what does not count in a text"
    ] = ()
    only_marked: Annotated[bool, "compare only cells marked NBVAL_CHECK_OUTPUT"] = False
    accept: Annotated[bool, "make NOTEBOOK the golden notebook, whatever differs"] = False
    junit: Annotated[Path | None, "file for test cases, one a cell, as JUnit XML", WRITES] = None


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What differs."""

    text: Annotated[str, "the differences", PRINTED]
    comparison: Annotated[Mapping[str, Any] | None, "each of them", DETAIL] = None
    junit: Annotated[Path | None, "absolute path of the JUnit file"] = None
    message: Annotated[str, "the differences in one sentence"] = ""


def run(options: Options) -> Outputs:
    """Compare; raise :class:`~stepkit.errors.UserCodeError` for a difference."""
    from stepkit.engine import run_junit
    from stepkit.golden import golden_file

    if options.accept:
        golden_file.accept(options.notebook, options.golden)
        message = f"{options.golden} has the outputs of {options.notebook}"
        return Outputs(text=message, message=message)
    return run_junit.around(
        options.junit,
        str(options.notebook),
        lambda: _compare(options),
        suites=lambda outputs, ended: [_suite(options, outputs, ended)],
    )


def _compare(options: Options) -> Outputs:
    from stepkit import rules
    from stepkit.formats import golden_text
    from stepkit.golden.comparison import Golden
    from stepkit.notebook import ipynb

    book = rules.load(options.rules, options.notebook) if options.rules else rules.EMPTY
    declared = book.comparison(options.variant)
    flags = {name: getattr(options, name) for name in ("rtol", "atol", "streams", "normalise")}
    given = {name: value for name, value in flags.items() if value not in {None, ()}}
    marked = options.only_marked or declared.only_marked
    declared = replace(declared, given={**declared.given, **given}, only_marked=marked)
    golden = Golden(options.golden, declared)
    executed = ipynb.add_ids(ipynb.read(options.notebook))
    golden.check(executed, executed, options.notebook)
    compared = golden.compare(executed, options.notebook)
    lines = [
        line
        for each in map(vars, compared.differences)
        for line in (golden_text.place(each), *golden_text.lines(each), "")
    ]
    outputs = Outputs(
        text="\n".join(lines) or compared.message,
        comparison=asdict(compared),
        message=compared.message,
    )
    if compared.error:
        raise compared.error.leaving(outputs)
    return outputs


def _suite(options: Options, outputs: Outputs | None, ended: Suite) -> Suite:
    """Return the test cases: a case a cell; those that are not compared are skipped."""
    from stepkit.notebook import cell_numbers, ipynb
    from stepkit.notebook.cell_title import title
    from stepkit.notebook.verdict import CellRun

    if not (outputs and outputs.comparison):
        return ended
    nb = ipynb.add_ids(ipynb.read(options.notebook))
    skipped = {each["cell"]: each["why"] for each in outputs.comparison["ignored"]}
    cells = [
        CellRun(number=number, index=index, id=cell.id, title=title(cell.source), status="ok")
        for index, (number, cell) in enumerate(
            zip(cell_numbers.number_cells(nb), nb.cells, strict=True)
        )
        if number and number not in skipped
    ]
    differences = outputs.comparison["differences"]
    return replace(ended, cells=cells, skipped=skipped, differences=differences)
