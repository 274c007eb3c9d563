"""Results for Tekton: one small file for each output that a Task asks for."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stepkit.cli import konflux_test_output
from stepkit.errors import ConfigurationError
from stepkit.formats import path_addresses
from stepkit.options import DETAIL, PRINTED, declared
from stepkit.redaction import redact
from stepkit.step import kebab
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Collection

    from stepkit.step import Step, StepResult

# All results of a Task share one 4096-byte termination message with Tekton's own bookkeeping, and
# the kubelet cuts 12 KiB among all containers of the pod (tektoncd/pipeline, docs/tasks.md).
MAX_RESULT_BYTES: Final = 3072
# Others may add steps and sidecars to a Task: the message is cut to leave them room.
USUAL_RESULT_BYTES: Final = 1024
MAX_MESSAGE_BYTES: Final = 400
_MIN_MESSAGE_BYTES: Final = 100

COMMON_OUTPUTS: Final = ("status", "reason", "message")


def output_names(step: Step) -> list[str]:
    """Name what ``--result`` may ask for: the outputs of ``step`` and what every step has."""
    large = {DETAIL, PRINTED}
    small = [kebab(o.field.name) for o in declared(step.Outputs) if not large & set(o.notes)]
    return [*COMMON_OUTPUTS, *(name for name in small if name not in COMMON_OUTPUTS)]


def as_text(value: Any) -> str:
    """Spell an output as Tekton does: ``true``, ``""`` for None, JSON for a list."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list | dict):
        return json.dumps(jsonable(value))
    return str(value)


def jsonable(value: Any) -> Any:
    """Return ``value`` as what JSON has: dataclasses as objects, tuples as lists, paths as text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return (isinstance(value, Path) and path_addresses.address(value)) or str(value)


def texts(result: StepResult, secrets: Collection[str]) -> dict[str, str]:
    """Return each output of ``result`` as Tekton and stdout get it, secrets masked."""
    common = {"status": result.status, "reason": result.reason, "message": result.message}
    values = {**result.outputs, **common}
    spelled = {name: redact(as_text(value), secrets) for name, value in values.items()}
    if konflux_test_output.NAME in spelled:
        spelled[konflux_test_output.NAME] = konflux_test_output.spell(result, secrets)
    return spelled


def encode(
    result: StepResult, paths: Collection[tuple[str, Path]], secrets: Collection[str]
) -> list[tuple[Path, bytes]]:
    """Return what each path gets, exactly: no newline is added.

    An output that a failed step does not have is empty, so that a ``finally`` task that reads it
    is not skipped. A long message is cut, to leave all of them below 1 KiB if it can. Raises
    :class:`ConfigurationError` when Tekton has no room.
    """
    values = texts(result, secrets)
    if any(name == konflux_test_output.NAME for name, _ in paths):  # a step without outputs, too
        values[konflux_test_output.NAME] = konflux_test_output.spell(result, secrets)
    chosen = [(name, path, _encode(values.get(name, ""))) for name, path in paths]
    rest = sum(len(value) for name, _, value in chosen if name != "message")
    room = max(_MIN_MESSAGE_BYTES, min(MAX_MESSAGE_BYTES, USUAL_RESULT_BYTES - rest))
    # Cut after redaction: a secret that was cut would not be recognised.
    chosen = [(n, p, _cut(value, room) if n == "message" else value) for n, p, value in chosen]
    size = sum(len(value) for _, _, value in chosen)
    if size > MAX_RESULT_BYTES:
        raise ConfigurationError(
            f"results take {size} bytes, Tekton has room for {MAX_RESULT_BYTES}: "
            "write a file to the workspace and return its path"
        )
    return [(path, value) for _, path, value in chosen]


def write(path: Path, value: bytes) -> None:
    """Write one result. Raises :class:`~stepkit.errors.StepError` when it cannot be written."""
    with atomic_files.explaining(f"cannot write the result {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(value)


def _encode(text: str) -> bytes:
    """Encode the name of a file as it is on disk, and what cannot be encoded with ``?``."""
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return text.encode(errors="replace")


def _cut(message: bytes, most: int) -> bytes:
    """Return the first line of ``message``, in at most ``most`` bytes of whole characters."""
    line = message.partition(b"\n")[0]
    if len(line) <= most:
        return line
    return line[: most - 3].decode(errors="ignore").encode() + b"..."
