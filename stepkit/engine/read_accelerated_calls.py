"""Read what cudf.pandas and cuml.accel did: the file that stepkit.kernel.accelerated_calls writes.

The notebook's code can write there, too: what is not as the kernel's half writes it is left out.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from stepkit.notebook import cpu_fallback
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from stepkit.notebook.cpu_fallback import CpuFallback
    from stepkit.notebook.verdict import Execution

logger = logging.getLogger(__name__)

VARIABLE: Final = "STEPKIT_ACCELERATED_CALLS"  # where the kernel's launcher finds the file's path

_MOST_BYTES: Final = 1 << 26
_MOST_WARNINGS: Final = 20
_MALFORMED: Final = (AttributeError, KeyError, RecursionError, TypeError, ValueError)


def read(path: Path) -> tuple[Mapping[int, CpuFallback], Sequence[str]]:
    """Return what each cell called, by its index, and why calls were not counted.

    A kernel that wrote no file called nothing.
    """
    try:
        content = atomic_files.read_at_most(path, _MOST_BYTES)
    except OSError:
        return {}, []
    cells: dict[int, CpuFallback] = {}
    warnings = []
    for line in content.splitlines():
        try:
            event = json.loads(line)
            if "warning" in event:
                warnings.append(cpu_fallback.text(event["warning"]))
            elif found := cpu_fallback.of_json(event):
                index = cpu_fallback.count(event["cell"])
                again = [cells[index]] if index in cells else []
                cells[index] = cpu_fallback.total([*again, found]) or found
        except _MALFORMED:
            continue
    return cells, list(dict.fromkeys(warnings))[:_MOST_WARNINGS]


def add(execution: Execution, path: Path) -> tuple[Execution, CpuFallback | None]:
    """Return ``execution`` with what each cell called, and the sum; log it.

    The sum is None for a notebook that called neither cudf.pandas nor cuml.accel.
    """
    found, warnings = read(path)
    for warning in warnings:
        logger.warning("calls on the CPU are not counted: %s", warning)
    cells = []
    for cell in execution.cells:
        did = found.get(cell.index)
        if did and did.cpu_calls:
            logger.info("%s: %s", cell.name, did)
        cells.append(replace(cell, cpu_fallback=did.shortened()) if did else cell)
    whole = cpu_fallback.total(found[c.index] for c in execution.cells if c.index in found)
    return replace(execution, cells=tuple(cells)), whole and whole.shortened()
