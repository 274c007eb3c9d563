"""Read a golden notebook, pair its cells with those of a notebook, and write a new one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError
from stepkit.notebook import cell_numbers, ipynb
from stepkit.notebook.cell_title import title

if TYPE_CHECKING:
    from pathlib import Path

_OF_A_RUN: Final = ("papermill", "execution")  # metadata that differ from run to run


@dataclass(frozen=True)
class Pair:
    """A code cell of a notebook and the golden one; ``index`` is among all cells of the former."""

    number: int
    index: int
    golden: Any
    new: Any


def read(path: Path) -> Any:
    """Return the golden notebook. Raises :class:`ConfigurationError`."""
    return ipynb.add_ids(ipynb.read(path))


def pairs(golden: Any, new: Any, path: Path, other: Path) -> list[Pair]:
    """Return the cells of ``new``, from the file ``other``, with those of ``golden``.

    Raises :class:`ConfigurationError` where the two are not the same notebook, or where ``golden``,
    from ``path``, has no outputs.
    """
    accept = (
        f"if the notebook was changed, look at its outputs and keep them: "
        f"stepkit compare-notebook {path} EXECUTED --accept"
    )
    languages = [_language(nb) for nb in (golden, new)]
    if all(languages) and languages[0] != languages[1]:
        raise ConfigurationError(
            f"{path} is of another kernel: its language is {languages[0]}, and that of {other} is "
            f"{languages[1]}; {accept}"
        )
    before, after = _own_cells(golden), _own_cells(new)
    for (number, _, old), (_, _, cell) in zip(before, after, strict=False):
        if old["id"] != cell["id"] and old["source"] != cell["source"]:
            raise ConfigurationError(
                f"{path} has other cells than {other}: its cell {number} is "
                f"`{title(old['source'])}`, and not `{title(cell['source'])}`; {accept}"
            )
    if len(before) != len(after):
        raise ConfigurationError(
            f"{path} has other cells than {other}: {len(before)} code cells, and not "
            f"{len(after)}; {accept}"
        )
    if after and not any(old.get("outputs") or old.get("execution_count") for *_, old in before):
        raise ConfigurationError(
            f"{path} has no outputs to compare with: it never ran, or they were cleared; keep "
            f"those of a run: stepkit compare-notebook {path} EXECUTED --accept"
        )
    return [
        Pair(number, index, old, cell)
        for (*_, old), (number, index, cell) in zip(before, after, strict=True)
    ]


def accept(new: Path, path: Path) -> None:
    """Write the notebook ``new`` to ``path``, whole or not at all, without times of the run.

    What a link points at is written. Raises :class:`~stepkit.errors.StepError`, also for a notebook
    that did not run to its end.
    """
    notebook = ipynb.read(new)
    if fault := ipynb.first_fault(notebook):
        raise ConfigurationError(f"{new} is not a valid notebook: {fault}")
    for number, _, cell in _own_cells(notebook):
        if cell_numbers.is_run(cell) and not (cell["outputs"] or cell["execution_count"]):
            raise ConfigurationError(
                f"{new} is not a golden notebook: its cell {number} did not run; run it to its end"
            )
        raised = next((o for o in cell["outputs"] if o["output_type"] == "error"), None)
        papermill = cell["metadata"].get("papermill", {})
        if papermill.get("exception") or (
            raised and cell_numbers.RAISES_TAG not in cell_numbers.tags(cell)
        ):
            what = f" with {raised.get('ename')}" if raised else ""
            raise ConfigurationError(
                f"{new} is not a golden notebook: its cell {number} failed{what}; run it to its "
                f"end, or tag the cell {cell_numbers.RAISES_TAG} if the error is expected"
            )
    for part in (notebook, *notebook.cells):
        for name in _OF_A_RUN:
            part["metadata"].pop(name, None)
    ipynb.write(notebook, path.resolve())


def _own_cells(nb: Any) -> list[tuple[int, int, Any]]:
    """Return the notebook's own code cells that have a number: with it and their index."""
    numbered = zip(cell_numbers.number_cells(nb), range(len(nb.cells)), nb.cells, strict=True)
    return [each for each in numbered if each[0]]


def _language(nb: Any) -> str:
    spec, info = nb.metadata.get("kernelspec", {}), nb.metadata.get("language_info", {})
    return str(spec.get("language") or info.get("name") or "").lower()
