"""What ``stepkit.NAME`` is, for each name in ``stepkit.__all__``."""

from __future__ import annotations

from typing import Any, Final

from stepkit import errors
from stepkit.api import typed_functions
from stepkit.api.run import run
from stepkit.step import StepResult

OTHERS: Final[dict[str, Any]] = {
    "ConfigurationError": errors.ConfigurationError,
    "Evidence": errors.Evidence,
    "Place": errors.Place,
    "Reason": errors.Reason,
    "StepError": errors.StepError,
    "StepResult": StepResult,
    "ToolError": errors.ToolError,
    "UserCodeError": errors.UserCodeError,
    "run": run,
}


def find(name: str) -> Any:
    """Return the object; a function for a step is made here."""
    return OTHERS[name] if name in OTHERS else typed_functions.make(name)
