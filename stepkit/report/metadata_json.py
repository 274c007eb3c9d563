"""Metadata of a run, metadata.json: what ran on what, a small view of the run's record."""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import StepError
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stepkit.report.run_json import RunJson
    from stepkit.report.run_json_notebook import NotebookJson

SCHEMA: Final = "stepkit.metadata/1"

_OF_IDENTITY: Final = ("id", "host", "url", "image", "image_digest", "stepkit", "stepkit_commit")
_OF_REPOSITORY: Final = ("url", "revision", "commit")
_OF_DATASET: Final = ("path", "url", "size", "sha256", "verified_by")
_OF_NOTEBOOK: Final = (
    "path", "repository", "in_repository", "variant", "parameters", "status", "reason",
    "duration_ms", "allocator", "gpu_peak", "executed", "page",
)  # fmt: skip


def view(record: RunJson) -> dict[str, Any]:
    """Return what metadata.json holds of a run: ``metadata.schema.json`` describes it."""
    environment = record["environment"]
    return {
        "schema": SCHEMA,
        **_some(record["identity"], _OF_IDENTITY),
        "title": record["title"],
        "verdict": record["verdict"],
        "started": record["started"],
        "duration_ms": record["duration_ms"],
        "repositories": [_some(one, _OF_REPOSITORY) for one in record["repositories"]],
        "datasets": [_some(one, _OF_DATASET) for one in record["datasets"]],
        "gpus": [str(gpu.get("name") or "") for gpu in environment["gpus"]],
        "driver": environment["driver"],
        "cuda": environment["cuda"],
        "notebooks": [_notebook(one, record["started"]) for one in record["notebooks"]],
    }


def as_text(record: RunJson) -> str:
    """Return the content of metadata.json."""
    return json.dumps(view(record), indent=1, ensure_ascii=False) + "\n"


def may_be_replaced(path: Path) -> bool:
    """Return whether ``path`` is free, or holds metadata of an earlier run.

    A notebook may write a metadata.json, too.
    """
    if not os.path.lexists(path):
        return True
    try:
        found = json.loads(atomic_files.read(path))
    except (StepError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("schema") == SCHEMA


def _notebook(notebook: NotebookJson, started: str | None) -> dict[str, Any]:
    statuses = Counter(cell["status"] for cell in notebook["cells"])
    start, begun = notebook["start_ms"], None
    if started and start is not None:
        moment = datetime.fromisoformat(started) + timedelta(milliseconds=start)
        begun = moment.isoformat(timespec="milliseconds")
    return {
        **_some(notebook, _OF_NOTEBOOK),
        "started": begun,
        "cells": {
            "total": notebook["cells_total"],
            "run": notebook["cells_run"],
            "tolerated": notebook["tolerated"],
            "failed": statuses["error"] + statuses["stopped"],
            "skipped": notebook["skipped"],
        },
        "kernel": notebook["kernel"],
    }


def _some(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: values[name] for name in names}
