"""Number the code cells of a notebook, the same way in logs, verdicts, rules, reports and pages."""

from __future__ import annotations

from typing import Any, Final, Literal

Injected = Literal["", "parameters", "rule"]

SKIP_TAG: Final = "skip-execution"  # nbclient leaves such cells out
RAISES_TAG: Final = "raises-exception"  # nbclient expects their errors
SKIPPED_BY_RULE: Final = "skipped-by-stepkit"
INJECTED_BY_RULE: Final = "injected-by-stepkit"
INJECTED_PARAMETERS: Final = "injected-parameters"  # papermill's


def number_cells(nb: Any) -> list[int]:
    """Return the number of each cell of ``nb``, from 1, and 0 for a cell without a number.

    Code cells as the notebook's owner wrote them are counted: a cell that a rule skips keeps its
    number, and an injected one has none. Blank cells and those that the notebook itself tags
    skip-execution are not counted.
    """
    numbers, last = [], 0
    for cell in nb["cells"]:
        counted = _is_own(cell) and (is_run(cell) or SKIPPED_BY_RULE in tags(cell))
        last += counted
        numbers.append(last if counted else 0)
    return numbers


def is_run(cell: Any) -> bool:
    """Return whether the kernel is asked to run a cell, as nbclient chooses them."""
    has_code = cell["cell_type"] == "code" and cell["source"].strip()
    return bool(has_code) and SKIP_TAG not in tags(cell)


def tags(cell: Any) -> list[str]:
    """Return the tags of a cell."""
    found: list[str] = cell["metadata"].get("tags", [])
    return found


def injected_by(cell: Any) -> Injected:
    """Return what put a cell into the notebook: papermill, for its parameters, or a rule."""
    found = tags(cell)
    if INJECTED_PARAMETERS in found:
        return "parameters"
    return "rule" if INJECTED_BY_RULE in found else ""


def _is_own(cell: Any) -> bool:
    return not injected_by(cell)
