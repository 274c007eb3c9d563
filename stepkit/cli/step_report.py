"""The report of a step: what it says beyond the outcome, and writing it as JSON."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import stepkit
from stepkit.cli.tekton_results import COMMON_OUTPUTS, jsonable
from stepkit.options import declared
from stepkit.redaction import redact
from stepkit.step import kebab
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import DataclassInstance

    from stepkit.step import StepResult

SCHEMA: Final = "stepkit.report/2"

_PYTHON: Final = ".".join(map(str, sys.version_info[:3]))
# Import name and distribution of the tools whose version a report names once a step used them.
_TOOLS: Final = {
    "git": "GitPython",
    "tenacity": "tenacity",
    "papermill": "papermill",
    "nbclient": "nbclient",
    "nbconvert": "nbconvert",
    "nbformat": "nbformat",
    "jupyter_client": "jupyter_client",
    "ipykernel": "ipykernel",
    "defusedxml": "defusedxml",
}


def complete(result: StepResult, options: DataclassInstance | None) -> StepResult:
    """Add what the report says beyond the outcome: options, artifacts, versions."""
    shown = {
        kebab(option.field.name): getattr(options, option.field.name)
        for option in (declared(type(options)) if options else ())
        if not option.secret
    }
    artifacts = [
        {"path": str(path), "size": path.stat().st_size, "sha256": atomic_files.sha256(path)}
        for value in result.outputs.values()
        for path in (value if isinstance(value, tuple) else (value,))
        if isinstance(path, Path) and path.is_file()
    ]
    known = result.artifacts or tuple(artifacts)  # those of a reused step were read already
    return dataclasses.replace(result, options=shown, artifacts=known, versions=_versions())


def write_report(result: StepResult, path: Path, secrets: Iterable[str]) -> None:
    """Write ``result`` as JSON, for the summary step and for people."""
    report = as_json(result, secrets)
    atomic_files.write_atomically(path, json.dumps(report, indent=2, ensure_ascii=False) + "\n")


def overwrite(result: StepResult, path: Path, secrets: Iterable[str]) -> bool:
    """Write how the step ended over the report in ``path``, in the room that it has on a full disk.

    The new report has no options, outputs, artifacts and versions, so it is the shorter one. Return
    whether it was written; the file is not changed if it does not fit.
    """
    short = dataclasses.replace(result, options={}, outputs={}, artifacts=(), versions={})
    content = json.dumps(as_json(short, secrets), ensure_ascii=False).encode() + b"\n"
    try:
        with path.open("r+b") as file:
            fits = len(content) <= os.fstat(file.fileno()).st_size
            if fits:
                file.write(content)
                file.truncate()
    except OSError:
        return False
    return fits


def as_json(result: StepResult, secrets: Iterable[str]) -> dict[str, Any]:
    """Return the report of ``result``.

    Secrets are masked in texts alone, so that one such as ``null`` leaves valid JSON behind, and
    not in the words that stepkit itself chose: step, status, reason.
    """
    report: dict[str, Any] = {"schema": SCHEMA, **jsonable(dataclasses.asdict(result))}
    report["outputs"] = {k: v for k, v in report["outputs"].items() if k not in COMMON_OUTPUTS}
    hidden = tuple(secrets)
    for field in (
        "message",
        "error",
        "place",
        "options",
        "outputs",
        "artifacts",
        "reused",
        "proof",
    ):
        report[field] = masked(report[field], hidden)
    return report


def masked(value: Any, secrets: tuple[str, ...]) -> Any:
    """Return a JSON value with ``secrets``, and those that were registered, masked in its texts."""
    if isinstance(value, dict):
        return {key: masked(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item, secrets) for item in value]
    if isinstance(value, str):  # the bytes of a file's name need not be valid UTF-8
        return redact(value, secrets).encode(errors="backslashreplace").decode()
    return value


def _versions() -> dict[str, str]:
    versions = {"stepkit": stepkit.__version__, "python": _PYTHON}
    for module, distribution in _TOOLS.items():
        if module in sys.modules:
            from importlib import metadata

            try:
                versions[distribution] = metadata.version(distribution)
            except metadata.PackageNotFoundError:
                versions[distribution] = "unknown"
    return versions
