"""Hand a step's outcome to the pipeline: small results to Tekton, the whole of it to a report."""

from __future__ import annotations

import dataclasses
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import stepkit
from stepkit.errors import Cancelled, ConfigurationError, Reason
from stepkit.options import DETAIL, declared
from stepkit.redaction import redact
from stepkit.step import StepResult, kebab
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from _typeshed import DataclassInstance

    from stepkit.step import Step

_PYTHON: Final = ".".join(map(str, sys.version_info[:3]))

SCHEMA: Final = "stepkit.report/1"

# All results of a Task share one 4096-byte termination message with Tekton's own bookkeeping, and
# the kubelet cuts 12 KiB among all containers of the pod (tektoncd/pipeline, docs/tasks.md).
MAX_RESULT_BYTES: Final = 3072
# A Task that others extend with steps and sidecars still has room: the message gives way.
USUAL_RESULT_BYTES: Final = 1024
MAX_MESSAGE_BYTES: Final = 400
_MIN_MESSAGE_BYTES: Final = 100

COMMON_OUTPUTS: Final = ("status", "reason", "message")

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


def output_names(step: Step) -> list[str]:
    """Name what ``--result`` may ask for: the outputs of ``step`` and what every step has."""
    small = [kebab(o.field.name) for o in declared(step.Outputs) if DETAIL not in o.notes]
    return [*COMMON_OUTPUTS, *(name for name in small if name not in COMMON_OUTPUTS)]


def as_text(value: Any) -> str:
    """Spell an output as Tekton does: ``true``, ``""`` for None, JSON for a list."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list | dict):
        return json.dumps(_jsonable(value))
    return str(value)


def write_results(
    result: StepResult, paths: Collection[tuple[str, Path]], secrets: Collection[str]
) -> None:
    """Write each output to its path, or to several, exactly: no newline is added.

    An output that a failed step does not have is written empty, so that a ``finally`` task that
    reads it is not skipped. A long message is cut, to leave all of them below 1 KiB if it can.
    Raises :class:`ConfigurationError` when Tekton has no room.
    """
    common = {"status": result.status, "reason": result.reason, "message": result.message}
    values = {name: as_text(value) for name, value in {**result.outputs, **common}.items()}
    chosen = [(name, path, _bytes(redact(values.get(name, ""), secrets))) for name, path in paths]
    rest = sum(len(value) for name, _, value in chosen if name != "message")
    room = max(_MIN_MESSAGE_BYTES, min(MAX_MESSAGE_BYTES, USUAL_RESULT_BYTES - rest))
    # Only now: a secret that was cut would not have been recognised.
    chosen = [(n, p, _short(value, room) if n == "message" else value) for n, p, value in chosen]
    size = sum(len(value) for _, _, value in chosen)
    if size > MAX_RESULT_BYTES:
        raise ConfigurationError(
            f"results take {size} bytes, Tekton has room for {MAX_RESULT_BYTES}: "
            "write a file to the workspace and return its path"
        )
    for _, path, value in chosen:
        with atomic_files.explaining(f"cannot write the result {path}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(value)


def complete(result: StepResult, options: DataclassInstance) -> StepResult:
    """Add what the report says beyond the outcome: options, artifacts, versions."""
    shown = {
        kebab(option.field.name): getattr(options, option.field.name)
        for option in declared(type(options))
        if not option.secret
    }
    return dataclasses.replace(
        result, options=shown, artifacts=tuple(_artifacts(result.outputs)), versions=_versions()
    )


def write_report(result: StepResult, path: Path, secrets: Iterable[str]) -> None:
    """Write ``result`` as JSON, for the summary step and for people.

    Secrets are masked in texts alone, so that one such as ``null`` leaves valid JSON behind, and
    not in the words that stepkit itself chose: step, status, reason.
    """
    report = {"schema": SCHEMA, **_jsonable(dataclasses.asdict(result))}
    report["outputs"] = {k: v for k, v in report["outputs"].items() if k not in COMMON_OUTPUTS}
    hidden = tuple(secrets)
    for field in ("message", "options", "outputs", "artifacts"):
        report[field] = _masked(report[field], hidden)
    atomic_files.write_atomically(path, json.dumps(report, indent=2, ensure_ascii=False) + "\n")


def announce(
    result: StepResult,
    paths: Collection[tuple[str, Path]],
    report: Path | None,
    secrets: Collection[str],
) -> None:
    """Write what ``result`` says for now: a step that is killed leaves it behind.

    A pipe or a device gets the last word alone. Raises :class:`StepError` when results or report
    cannot be written.
    """
    plain = [(name, path) for name, path in paths if path.is_file() or not path.exists()]
    write_results(result, plain, secrets)
    if report:
        write_report(result, report, secrets)


def unfinished(name: str, options: DataclassInstance) -> StepResult:
    """Say what is true if this process never gets to say anything else.

    It is written before the step starts, and replaced at its end; what stays of it belongs to a
    step that was killed at once: by the kernel's OOM killer, an eviction or a hard timeout.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    result = StepResult(
        step=name,
        status="failed",
        reason=Reason.KILLED,
        message=f"started at {started} and never ended: killed from outside "
        "(out of memory, eviction, or a hard timeout)",
        exit_code=None,
        started=started,
        seconds=0,
    )
    return complete(result, options)


def stopped(name: str, options: DataclassInstance, stop: KeyboardInterrupt) -> StepResult:
    """Say that a signal came before the step began: nothing was done."""
    cancelled = stop if isinstance(stop, Cancelled) else Cancelled()
    return dataclasses.replace(
        unfinished(name, options),
        status="cancelled",
        reason=Reason.CANCELLED,
        message=f"{cancelled} before it began",
        exit_code=cancelled.exit_code,
    )


def bug(started: StepResult, error: Exception) -> StepResult:
    """Say that stepkit itself broke; the traceback is on stderr."""
    message = f"a bug in stepkit: {type(error).__name__}: {error}"
    return dataclasses.replace(started, reason=Reason.BUG, message=message, exit_code=1)


def _masked(value: Any, secrets: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return {key: _masked(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, secrets) for item in value]
    if isinstance(value, str):  # a name with bytes that are no text must not spoil the JSON
        return redact(value, secrets).encode(errors="backslashreplace").decode()
    return value


def _bytes(text: str) -> bytes:
    """Encode a name of a file as it is on disk, and what is no text at all with ``?``."""
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return text.encode(errors="replace")


def _short(message: bytes, most: int) -> bytes:
    line = message.partition(b"\n")[0]
    if len(line) <= most:
        return line
    return line[: most - 3].decode(errors="ignore").encode() + b"..."


def _artifacts(outputs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for value in outputs.values():
        for path in value if isinstance(value, tuple) else (value,):
            if isinstance(path, Path) and path.is_file():
                size, sha256 = path.stat().st_size, atomic_files.sha256(path)
                yield {"path": str(path), "size": size, "sha256": sha256}


def _versions() -> dict[str, str]:
    used = {dist: _version(dist) for name, dist in _TOOLS.items() if name in sys.modules}
    return {"stepkit": stepkit.__version__, "python": _PYTHON, **used}


def _version(distribution: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"


def _jsonable(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)
