"""Keep the record of a large run below 2 MB: the first failures keep all that shows why."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from stepkit.report.run_json import ArtifactJson, RunJson
    from stepkit.report.run_json_notebook import ErrorJson, NotebookJson

LARGEST: Final = 2_000_000  # bytes

_WHOLE: Final = 20  # notebooks, steps and tests that failed and are kept whole
_MOST_ARTIFACTS: Final = 1_000
_MOST_CASES: Final = 200
_SHORT: Final = 300  # characters
_TELLING: Final = ("error", "stopped", "tolerated", "expected-error")


def as_text(record: RunJson) -> str:
    """Return ``record`` as JSON; one that is too large is cut and then says so in ``left_out``."""
    text = _dump(record)
    for cut in _CUTS:
        if len(text.encode()) <= LARGEST:
            break
        record["left_out"] = dict(Counter(record["left_out"]) + Counter(cut(record)))
        text = _dump(record)
    return text


def _dump(record: RunJson) -> str:
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _images(record: RunJson) -> dict[str, int]:
    """Take out the images of outputs that are not the golden ones."""
    goldens = [notebook["golden"] for notebook in record["notebooks"] if notebook["golden"]]
    found = [each for golden in goldens for each in golden["differences"] if each["images"]]
    for each in found:
        each["images"] = []
    return {"images": len(found)}


def _evidence(record: RunJson) -> dict[str, int]:
    """Take source and traceback out of what failed after the first ones."""
    steps = [step["error"] for step in record["steps"] if step["error"]]
    errors = [
        *steps[_WHOLE:],
        *(cell["error"] for nb in _later(record) for cell in nb["cells"] if cell["error"]),
        *(one["error"] for nb in _later(record) for one in nb["attempts"] if one["error"]),
    ]
    for error in errors:
        _strip(error)
    cases = [case for suite in record["tests"] for case in suite["failures"]][_WHOLE:]
    for case in cases:
        case["text"], case["message"] = "", case["message"][:_SHORT]
    return {"evidence": len(errors) + len(cases)}


def _strip(error: ErrorJson) -> None:
    lines = error["traceback"].count("\n") + 1 if error["traceback"] else 0
    error["left_out"] += lines
    error["source"] = error["traceback"] = error["stack"] = ""
    error["evalue"], error["output"] = error["evalue"][:_SHORT], []


def _long_lists(record: RunJson) -> dict[str, int]:
    """Shorten the lists of artifacts and of tests; artifacts with a role are kept."""
    artifacts, failures = len(record["artifacts"]), 0
    record["artifacts"] = sorted(record["artifacts"], key=_without_role)[:_MOST_ARTIFACTS]
    for suite in record["tests"]:
        failures += len(suite["failures"][_MOST_CASES:]) + len(suite["skips"][_MOST_CASES:])
        suite["failures"] = suite["failures"][:_MOST_CASES]
        suite["skips"] = suite["skips"][:_MOST_CASES]
    return {"artifacts": artifacts - len(record["artifacts"]), "failures": failures}


def _without_role(artifact: ArtifactJson) -> bool:
    return not artifact["role"]


def _cells(record: RunJson) -> dict[str, int]:
    """Leave out the cells that simply ran, or did not run, of the later notebooks."""
    before = _count_cells(record["notebooks"])
    for notebook in _later(record):
        notebook["cells"] = [cell for cell in notebook["cells"] if cell["status"] in _TELLING]
        notebook["diff_text"], notebook["changes"], notebook["golden"] = "", [], None
    return {"cells": before - _count_cells(record["notebooks"])}


def _facts(record: RunJson) -> dict[str, int]:
    """Leave out the facts about GPU, guard and kernel of the later notebooks, and commands."""
    for notebook in _later(record):
        notebook["gpu"] = notebook["guard"] = notebook["kernel"] = None
        notebook["message"] = notebook["message"][:_SHORT]
    for step in record["steps"][_WHOLE:]:
        step["again"], step["message"] = [], step["message"][:_SHORT]
    return {}


def _count_cells(notebooks: Iterable[NotebookJson]) -> int:
    return sum(len(notebook["cells"]) for notebook in notebooks)


def _later(record: RunJson) -> Sequence[NotebookJson]:
    """Return the notebooks but the first that failed, and the one that decided the verdict."""
    order = sorted(record["notebooks"], key=lambda nb: nb["status"] not in {"failed", "cancelled"})
    cause = record["cause"]["notebook"] if record["cause"] else None
    kept = [] if cause is None else [record["notebooks"][cause]]
    kept += order[:_WHOLE]
    return [notebook for notebook in order[_WHOLE:] if not any(notebook is one for one in kept)]


_CUTS: Final[tuple[Callable[[RunJson], dict[str, int]], ...]] = (
    _images,
    _evidence,
    _long_lists,
    _cells,
    _facts,
)
