"""What the caller hands to a Pipeline: params, workspaces and secrets."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError, Reason
from stepkit.formats.did_you_mean import did_you_mean
from stepkit.redaction import redact
from stepkit.system import atomic_files
from stepkit.tekton import variables
from stepkit.tekton.variables import Names, Unknown, type_of
from stepkit.tekton.yaml_documents import Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from stepkit.errors import StepError
    from stepkit.tekton.objects import Param, Pipeline
    from stepkit.tekton.yaml_documents import Value

_SHORTEST_SECRET_LINE: Final = 8  # characters; shorter lines of a key file are no secret alone


def params(given: Sequence[str], pipeline: Pipeline) -> Names:
    """Return the Pipeline's params: those given as NAME=VALUE, and defaults for the others."""
    texts = _pairs("--param", "VALUE", given)
    for name in texts:
        if name not in pipeline.params:
            raise ConfigurationError(
                f"--param {name}: the Pipeline {pipeline.name} has no such param"
                f"{did_you_mean(name, pipeline.params)}"
            )
    lacking = [
        p.name for p in pipeline.params.values() if p.default is None and p.name not in texts
    ]
    error = _missing(" ".join(f"--param {name}=VALUE" for name in lacking), pipeline.name)
    if lacking:
        raise error
    values = {name: _param(pipeline.params[name], text) for name, text in texts.items()}
    return with_defaults(pipeline.params, values, lambda _: error)


def workspaces(given: Sequence[str], pipeline: Pipeline) -> dict[str, Path]:
    """Return the directory of each workspace that is bound."""
    paths = _pairs("--workspace", "DIR", given)
    for name in paths:
        if name not in pipeline.workspaces:
            raise ConfigurationError(
                f"--workspace {name}: the Pipeline {pipeline.name} has no such workspace"
                f"{did_you_mean(name, pipeline.workspaces)}"
            )
    for name, declared in pipeline.workspaces.items():
        if name not in paths and not declared.optional:
            raise _missing(f"--workspace {name}=DIR", pipeline.name)
    bound = {name: absolute(path) for name, path in paths.items()}
    for name, path in bound.items():
        if path.exists() and not path.is_dir():
            raise ConfigurationError(f"--workspace {name}: {path} is no directory")
    return bound


def absolute(path: str | Path) -> Path:
    """Return ``path`` from the root on, with its symbolic links as they are."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links


def with_defaults(
    declared: Mapping[str, Param],
    given: Mapping[str, Value | Unknown],
    missing: Callable[[str], ConfigurationError],
    around: Mapping[str, Any] | None = None,
) -> Names:
    """Add the defaults of the params that are not given; a default may name other params.

    ``around`` are params of the Pipeline that a default may name, too. Raises what ``missing``
    returns for a param that has neither a value nor a default.
    """
    values = Names({**(around or {}), **given})
    for name, value in given.items():
        if name in declared:
            values[name] = _complete(declared[name], value)
    waiting = [param for param in declared.values() if param.name not in given]
    for param in waiting:
        if param.default is None:
            raise missing(param.name)
    while waiting:
        names = {param.name for param in waiting}
        ready = [param for param in waiting if not names & _named(_default(param))]
        if not ready:
            raise waiting[0].node.error("these defaults name each other in a circle")
        for param in ready:
            value = variables.value(_default(param), Names(params=values))
            values[param.name] = _complete(param, value)
        waiting = [param for param in waiting if param not in ready]
    return values


def check_type(param: Param, value: Value | Unknown, node: Node) -> None:
    """Refuse a value of another type than the param's, or an object without one of its keys."""
    if type_of(value) != param.type:
        raise node.error(
            f"the param {param.name} is of type {param.type}, and this is of type {type_of(value)}"
        )
    if isinstance(value, dict):
        known = {*value, *(param.default if isinstance(param.default, dict) else ())}
        lacking = [key for key in param.keys if key not in known]
        if lacking:
            raise node.error(f"the object {param.name} lacks the key {lacking[0]}")


@dataclass(frozen=True)
class SecretUse:
    """One key of a secret, as a step wants it."""

    name: str
    key: str
    optional: bool

    def __str__(self) -> str:
        """Return how the plan names it."""
        return f"secret {self.name}/{self.key}"


class Secrets:
    """Directories that stand for Kubernetes Secrets: one file for each key."""

    def __init__(self, given: Sequence[str]) -> None:
        """Take NAME=DIR pairs. Raises :class:`ConfigurationError` for a missing directory."""
        self.directories = {
            name: absolute(path) for name, path in _pairs("--secret", "DIR", given).items()
        }
        self._seen: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        for name, directory in self.directories.items():
            if not directory.is_dir():
                raise ConfigurationError(f"--secret {name}: there is no directory {directory}")

    def check(self, use: SecretUse) -> None:
        """Refuse a secret that is neither there nor optional."""
        path = self._path(use)
        if use.optional or (path and path.is_file()):
            return
        where = f"there is no file {path}" if path else "it is not given"
        raise ConfigurationError(
            f"a task needs {use}: {where}: add --secret {use.name}=DIR, "
            f"where DIR/{use.key} holds the value",
            reason=Reason.NOT_FOUND,
        )

    def check_names(self, used: Iterable[str]) -> None:
        """Refuse a secret that no task asks for."""
        known = set(used)
        for name in self.directories:
            if name not in known:
                raise ConfigurationError(
                    f"--secret {name}: no task asks for it{did_you_mean(name, known)}"
                )

    def read(self, use: SecretUse) -> str | None:
        """Return the value exactly as the file holds it, None for an optional one that is not."""
        self.check(use)
        path = self._path(use)
        if path is None or not path.is_file():
            return None
        with atomic_files.explaining(f"cannot read {use}"):
            value = os.fsdecode(path.read_bytes())
        if "\0" in value:
            raise ConfigurationError(f"{use} holds a NUL byte: no environment variable can")
        lines = {line for line in value.splitlines() if len(line) >= _SHORTEST_SECRET_LINE}
        with self._lock:  # other threads read the whole set while this one makes a new one
            self._seen |= {value, value.strip(), *lines}
        return value

    def redact(self, text: str) -> str:
        """Mask every secret that was read so far."""
        return redact(text, self._seen)

    def redacted(self, error: StepError) -> StepError:
        """Return ``error`` with every secret in its message masked."""
        return type(error)(self.redact(str(error)), reason=error.reason, outputs=error.outputs)

    def _path(self, use: SecretUse) -> Path | None:
        directory = self.directories.get(use.name)
        return directory / use.key if directory else None


def _pairs(flag: str, what: str, given: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise ConfigurationError(f"{flag} {text}: write {flag} NAME={what}")
        if what == "DIR" and not value:
            raise ConfigurationError(f"{flag} {text}: the directory is empty")
        if name in found:
            raise ConfigurationError(f"{flag} {name} is given twice")
        found[name] = value
    return found


def _param(param: Param, text: str) -> Value:
    if param.type == "string":
        return text
    if param.type == "array" and not text.startswith("["):
        return [text] if text else []
    wanted = '["a", "b"]' if param.type == "array" else '{"key": "value"}'
    kind, node = (list if param.type == "array" else dict), Node(text, f"--param {param.name}")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # the latter for [[[[...
        value = None
    entries = value.values() if isinstance(value, dict) else value
    if not isinstance(value, kind) or not all(isinstance(entry, str) for entry in entries):
        raise node.error(f"the param is of type {param.type}: write strings as JSON: {wanted}")
    for entry in entries:
        if not _is_text(entry):
            raise node.error(f"{entry!a} holds a NUL byte or half a character")
    check_type(param, value, node)
    return value


def _is_text(value: str) -> bool:
    """Tell whether a process can be given ``value``: no NUL byte, no half of a character.

    Bytes that are no UTF-8, as :func:`os.fsdecode` shows them, can be given.
    """
    try:
        return b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def _missing(flag: str, pipeline: str) -> ConfigurationError:
    return ConfigurationError(f"the Pipeline {pipeline} needs {flag}")


def _default(param: Param) -> Node:
    return Node(param.default, param.node.source, f"{param.node.path}.default")


def _named(node: Node) -> set[str]:
    return {parts[1] for parts in variables.references(node) if parts[0] == "params"}


def _complete(param: Param, value: Value | Unknown) -> Value | Unknown:
    if isinstance(value, dict) and isinstance(param.default, dict):
        value = {**param.default, **value}
    check_type(param, value, param.node)
    return value
