"""States of a run, as NAME.progress.json holds them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import published_schemas

from stepkit.notebook.progress_json import EndingJson, ProgressJson
from stepkit.system import process_identity

GIB = 1 << 30


def state(ended: int = 2, *, running: bool = True, **more: Any) -> ProgressJson:
    """Return the state of a run of 4 cells, of which so many have ended."""
    made: dict[str, Any] = {
        "schema": "stepkit.progress/1",
        "notebook": "source/analysis.ipynb",
        "output": "analysis.ipynb",
        "process": process_identity.own(),
        "started": "2026-11-30T10:15:00.000+00:00",
        "written": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "seconds": 63.2,
        "attempt": 1,
        "cells_total": 4,
        "memory_limit": 8 * GIB,
        "rss": GIB,
        "gpus": [],
        "lines": ["epoch 1", "epoch 2"],
        "cell": {
            "name": f"cell {ended + 1}/4", "number": ended + 1, "title": f"step({ended + 1})",
            "began": 10.0 * ended, "seconds": 12.4,
        }
        if running
        else None,
        "ending": None,
        "cells": [
            {
                "number": number, "title": f"step({number})", "status": "ok",
                "began": 10.0 * (number - 1), "seconds": 2.1,
            }
            for number in range(1, ended + 1)
        ],
    }  # fmt: skip
    made.update(more)
    assert published_schemas.problems(made) == []
    return cast("ProgressJson", made)


def ended(code: int = 0, **more: Any) -> ProgressJson:
    """Return the state of a run that has ended with an exit code."""
    status = {0: "succeeded", 143: "cancelled"}.get(code, "failed")
    reason = {0: "ok", 2: "bad-input", 3: "cell-error", 143: "cancelled"}.get(code, "killed")
    ending: EndingJson = {
        "status": status, "reason": reason, "exit_code": code, "message": f"it ended with {code}",
    }  # fmt: skip
    return state(4, running=False, ending=ending, **more)


def write(directory: Path, now: ProgressJson, name: str = "analysis") -> Path:
    """Write a state as a run does."""
    directory.mkdir(parents=True, exist_ok=True)
    new = directory / f"{name}.new"
    new.write_text(json.dumps(now))
    return new.replace(directory / f"{name}.progress.json")
