"""Run the checks that RAPIDS' packages register for `rapids doctor`, and print what they say.

Run as a script by the kernel's own Python. The command `rapids doctor` runs the same checks; its
coloured text is made for people.
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

# As in launcher.py: what lies beside this file must not be imported in place of other modules.
if sys.path[0] == os.path.dirname(os.path.abspath(__file__)):  # noqa: PTH100, PTH120 - starts at once
    del sys.path[0]

MARK = "stepkit-probe "
GROUP = "rapids_doctor_check"


def main() -> None:
    """Run every check, one line for each."""
    for point in registered():
        sys.stdout.write("\n" + MARK + json.dumps({"stage": "begin", "next": point.name}) + "\n")
        sys.stdout.flush()
        facts = {"stage": point.name, **outcome(point)}
        sys.stdout.write("\n" + MARK + json.dumps(facts) + "\n")
        sys.stdout.flush()


def registered() -> list[Any]:
    """Return the checks; one package whose entry points cannot be read hides no other's."""
    found: dict[str, Any] = {}
    for distribution in metadata.distributions():
        try:
            points = distribution.entry_points
        except Exception:  # noqa: BLE001, S112 - as probe.py does
            continue
        for point in points:
            if point.group == GROUP:
                found.setdefault(point.name, point)
    return list(found.values())


def outcome(point: Any) -> dict[str, Any]:
    """Return what one check said: an error, warnings, or nothing."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            check = point.load()
            check(**arguments(check))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - that is how a check says no
            return {"error": [type(error).__name__, str(error)]}
    own = [w for w in caught if issubclass(w.category, UserWarning)]
    return {"warnings": [str(warning.message) for warning in own]}


def arguments(check: Any) -> dict[str, Any]:
    """Return what `rapids doctor` passes, as far as this check takes it: it grew with time."""
    parameters = inspect.signature(check).parameters
    given: dict[str, Any] = {"verbose": False} if "verbose" in parameters else {}
    gpu_info = parameters.get("gpu_info")
    if gpu_info is not None and gpu_info.default is inspect.Parameter.empty:
        given["gpu_info"] = importlib.import_module("rapids_cli.hardware").NvmlGpuInfo()
    return given


if __name__ == "__main__":
    main()
