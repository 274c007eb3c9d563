"""Read what cudf.pandas and cuml.accel did: the file that stepkit.kernel.accelerated_calls writes.

The notebook's code can write there, too: what is not as the kernel's half writes it is left out.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from stepkit.formats.plain_text import plain
from stepkit.notebook import cpu_fallback
from stepkit.notebook.cpu_fallback import CpuFallback, SlowFunction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from stepkit.notebook.verdict import Execution

logger = logging.getLogger(__name__)

VARIABLE: Final = "STEPKIT_ACCELERATED_CALLS"  # where the kernel's launcher finds the file's path

_MOST_BYTES: Final = 1 << 26
_MOST_TEXT: Final = 300  # characters of a name, or of a reason
_MOST_WARNINGS: Final = 20
_MALFORMED: Final = (AttributeError, KeyError, RecursionError, TypeError, ValueError)


def read(path: Path) -> tuple[Mapping[int, CpuFallback], Sequence[str]]:
    """Return what each cell called, by its index, and why calls were not counted.

    A kernel that wrote no file called nothing.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES)
    except OSError:
        return {}, []
    cells: dict[int, CpuFallback] = {}
    warnings = []
    for line in content.splitlines():
        try:
            event = json.loads(line)
            if "warning" in event:
                warnings.append(_text(event["warning"]))
            else:
                index = _count(event["cell"])
                again = [cells[index]] if index in cells else []
                found = cpu_fallback.total([*again, _fallback(event)])
                cells |= {index: found} if found else {}
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


def _fallback(event: Mapping[str, Any]) -> CpuFallback:
    calls, cpu_calls = _count(event["calls"]), _count(event["cpu_calls"])
    if not 0 <= cpu_calls <= calls or not calls:
        raise ValueError(f"{cpu_calls} of {calls}")
    return CpuFallback(
        share=round(cpu_calls / calls, 6),
        calls=calls,
        cpu_calls=cpu_calls,
        out_of_memory=_count(event["out_of_memory"]),
        seconds=_seconds(event["seconds"]),
        cpu_seconds=_seconds(event["cpu_seconds"]),
        functions=tuple(
            SlowFunction(
                name=_text(each["name"]),
                calls=_count(each["calls"]),
                seconds=_seconds(each["seconds"]),
                why=_text(each["why"]),
            )
            for each in event["functions"]
        ),
    )


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 50:
        raise ValueError(value)
    return value


def _seconds(value: Any) -> float:
    if type(value) not in {int, float} or not 0 <= value < 1e9:  # noqa: PLR2004
        raise ValueError(value)
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return " ".join(plain(value).split())[:_MOST_TEXT]
