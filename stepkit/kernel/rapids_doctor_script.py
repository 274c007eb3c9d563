"""Run the checks that RAPIDS' packages register for `rapids doctor`, and print their outcomes.

stepkit.gpu.health.run_rapids_doctor runs this script by the kernel's own Python. The command
`rapids doctor` runs the same checks, but prints coloured text for people.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
import warnings
from importlib import metadata
from typing import Any

# As in launcher.py: modules beside this file must not hide those that are imported here.
if sys.path[0] == os.path.dirname(os.path.abspath(__file__)):  # noqa: PTH100, PTH120 - starts at once
    del sys.path[0]

MARK = "stepkit-probe "
GROUP = "rapids_doctor_check"


def main() -> None:
    """Run every check, and print a line before and after each."""
    for point in registered():
        sys.stdout.write("\n" + MARK + json.dumps({"stage": "begin", "next": point.name}) + "\n")
        sys.stdout.flush()
        facts = {"stage": point.name, **outcome(point)}
        sys.stdout.write("\n" + MARK + json.dumps(facts) + "\n")
        sys.stdout.flush()


def registered() -> list[Any]:
    """Return the checks of others; a package whose entry points cannot be read hides none.

    Ours, which probe_script.py has just done, are left out.
    """
    found: dict[str, Any] = {}
    for distribution in metadata.distributions():
        try:
            points = distribution.entry_points
        except Exception:  # noqa: BLE001, S112 - as in probe_script.py
            continue
        for point in points:
            if point.group == GROUP and not point.value.startswith("stepkit."):
                found.setdefault(point.name, point)
    return list(found.values())


def outcome(point: Any) -> dict[str, Any]:
    """Return the outcome of one check: an error, or a list of warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            check = point.load()
            check(**arguments(check))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - so a check fails
            return {"error": [type(error).__name__, str(error)]}
    own = [w for w in caught if issubclass(w.category, UserWarning)]
    return {"warnings": [str(warning.message) for warning in own]}


def arguments(check: Any) -> dict[str, Any]:
    """Return what `rapids doctor` passes to a check; older checks take fewer arguments."""
    parameters = inspect.signature(check).parameters
    given: dict[str, Any] = {"verbose": False} if "verbose" in parameters else {}
    gpu_info = parameters.get("gpu_info")
    if gpu_info is not None and gpu_info.default is inspect.Parameter.empty:
        given["gpu_info"] = importlib.import_module("rapids_cli.hardware").NvmlGpuInfo()
    return given


if __name__ == "__main__":
    main()
