"""Packages that a notebook could not install: a cell with `!pip` succeeds, its import fails."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from stepkit.notebook.cell_evidence import last_printed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepkit.errors import StepError
    from stepkit.notebook.verdict import CellRun

# What pip, uv, conda and a shell print where the user of the run may not write or execute.
_REFUSALS: Final = (
    re.compile(r"Could not install packages due to an \w+: (\[Errno (?:1|13|30)\] .+)"),
    re.compile(r"(failed to create \w+ .+ \(os error (?:1|13|30)\))"),
    re.compile(r"((?:EnvironmentNotWritable|NoWritable\w+)Error\b.*)"),
    re.compile(r"(\S*\b(?:pip3?|conda|mamba): [Pp]ermission denied)"),
)
# Errors of a cell that follow: of an import, or of a cell that is a script itself.
_FOLLOW: Final = frozenset({"ModuleNotFoundError", "ImportError", "CalledProcessError"})


def explained(error: StepError, cells: Sequence[CellRun], nb: Any) -> StepError:
    """Return ``error``, with the installation that was refused before it if that explains it.

    ``cells`` are those of ``nb``, the executed notebook.
    """
    if error.evidence and error.evidence.ename in _FOLLOW:
        printed = {cell.get("id"): last_printed(cell.get("outputs", ())) for cell in nb.cells}
        for cell in cells:
            if why := _refusal("\n".join(printed.get(cell.id, ()))):
                suffix = f"; {cell.name} could not install packages: {why}"
                return error.leaving(error.outputs, suffix=suffix)
    return error


def _refusal(printed: str) -> str:
    return next((found[1].strip() for one in _REFUSALS if (found := one.search(printed))), "")
