"""Read the command line's NAME=VALUE pairs: params, workspaces and secrets of a Pipeline."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError
from stepkit.formats.did_you_mean import did_you_mean, nearest
from stepkit.run_local.secret_files import Secrets
from stepkit.tekton import substitute_variables
from stepkit.tekton.param_values import check_type, with_defaults
from stepkit.tekton.yaml_documents import Node
from stepkit.workspace import run_marker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stepkit.tekton.objects import Param, Pipeline
    from stepkit.tekton.substitute_variables import Names
    from stepkit.tekton.yaml_documents import Value

# Params of the older system's PipelineRuns, by the table in docs/from-the-older-system.md.
_FROM_THE_OLDER_SYSTEM: Final = {
    "container-image": ("image",),
    "download-timeout-minutes": ("download-timeout",),
    "expected-dataset-size-mb": ("dataset-size",),
    "git-repo-url": ("notebooks-url",),
    "git-revision": ("notebooks-revision",),
    "notebook-filename": ("notebook",),
    "notebook-path": ("notebook",),
    "notebook-relative-dir": ("notebook",),
    "output-notebook-name": ("output-name",),
    "papermill-kernel": ("kernel",),
    "pipeline-version": ("variant", "suffix", "rules"),
    "pytest-markers": ("marker",),
    "test-repo-branch": ("tests-revision",),
    "test-repo-url": ("tests-url",),
}
_HOME: Final = re.compile(r"(?<!\$)(?:\$\$)*\$\(HOME\)")  # the kubelet reads $$ as a plain $


def params(given: Sequence[str], pipeline: Pipeline) -> Names:
    """Return the Pipeline's params: those given as NAME=VALUE, and defaults for the others."""
    texts = _pairs("--param", "VALUE", given)
    if unknown := [name for name in texts if name not in pipeline.params]:
        raise _no_such_params(unknown, pipeline)
    declared = pipeline.params.values()
    lacking = [p.name for p in declared if p.default is None and p.name not in texts]
    flags = " ".join(f"--param {name}=VALUE" for name in lacking)
    error = ConfigurationError(f"the Pipeline {pipeline.name} needs {flags}")
    if lacking:
        raise error
    values = {name: _param_value(pipeline.params[name], text) for name, text in texts.items()}
    for name, value in values.items():
        _refuse_replaced(Node(value, f"--param {name}"))
    return with_defaults(pipeline.params, values, lambda _: error)


def _no_such_params(unknown: Sequence[str], pipeline: Pipeline) -> ConfigurationError:
    """Return an error that names all of ``unknown``, and what each may have been meant to be."""
    known = set(pipeline.params)
    now = {name: known.intersection(_FROM_THE_OLDER_SYSTEM.get(name, ())) for name in unknown}
    hints = [f"{older} is now {' and '.join(sorted(new))}" for older, new in now.items() if new]
    if hints:
        hints[-1] += " (docs/from-the-older-system.md)"
    rest = [name for name in unknown if not now[name]]
    hints += [f"{name}: did you mean {near}?" for name in rest if (near := nearest(name, known))]
    message = f"--param {', '.join(unknown)}: the Pipeline {pipeline.name} has no such param"
    if len(unknown) == len(rest) == 1:
        return ConfigurationError(message + did_you_mean(rest[0], known))
    plural = "s" if len(unknown) > 1 else ""
    return ConfigurationError(f"{message}{plural}{': ' if hints else ''}{'; '.join(hints)}")


def workspaces(given: Sequence[str], pipeline: Pipeline) -> dict[str, Path]:
    """Return the directory of each workspace that is bound."""
    bound = {name: absolute(path) for name, path in _pairs("--workspace", "DIR", given).items()}
    for name in bound:
        if name not in pipeline.workspaces:
            raise ConfigurationError(
                f"--workspace {name}: the Pipeline {pipeline.name} has no such workspace"
                f"{did_you_mean(name, pipeline.workspaces)}"
            )
    for name, declared in pipeline.workspaces.items():
        if name not in bound and not declared.optional:
            raise ConfigurationError(f"the Pipeline {pipeline.name} needs --workspace {name}=DIR")
    for name, path in bound.items():
        if path.exists() and not path.is_dir():
            raise ConfigurationError(f"--workspace {name}: {path} is not a directory")
    return bound


def run_name(given: str, pipeline: Pipeline, workspaces: Mapping[str, Path]) -> str:
    """Return the name of the run: ``given``, or the Pipeline's with date and time.

    Raises :class:`~stepkit.errors.ConfigurationError` for a name that a run in a workspace has.
    """
    now = datetime.now(UTC).astimezone().strftime("%Y%m%d-%H%M%S")
    name = given or f"{pipeline.name}-{now}"
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", name):
        raise ConfigurationError(f"--run {name}: use lower-case letters, digits and '-'")
    for path in workspaces.values():
        if run_marker.read(path / name):  # prepare-workspace would remove its files
            raise ConfigurationError(
                f"--run {name}: {path / name} is an earlier run, which stays as it is: "
                f"choose another name, with --resume {name} to reuse what it proved"
            )
    return name


def secrets(given: Sequence[str]) -> Secrets:
    """Return the directories that stand for Secrets."""
    return Secrets(
        {name: absolute(path) for name, path in _pairs("--secret", "DIR", given).items()}
    )


def absolute(path: str | Path) -> Path:
    """Return ``path`` from the root on, with its symbolic links as they are."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links


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


def _refuse_replaced(value: Node) -> None:
    """Raise an error for a value in which a cluster replaces what run-local would leave."""
    for part in value.texts():
        if found := substitute_variables.REFERENCE.search(part.value):
            raise value.error(
                f"Tekton replaces {found[0]} in a value, in some tasks and not in others: "
                "write what it stands for"
            )
        if _HOME.search(part.value):
            raise value.error(
                "on a cluster $(HOME) in a value becomes another directory than here: "
                "write $$(HOME) for the text itself"
            )


def _param_value(param: Param, text: str) -> Value:
    """Read the text of ``--param``: as it is, as JSON, or as the only item of an array."""
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
        try:  # it takes bytes that are not UTF-8, as os.fsdecode shows them
            encoded = os.fsencode(entry)
        except UnicodeEncodeError:
            encoded = b"\0"
        if b"\0" in encoded:
            raise node.error(f"{entry!a} holds a NUL byte or half a character")
    check_type(param, value, node)
    return value
