"""Turn the steps of one TaskRun into command lines and environments."""

from __future__ import annotations

import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stepkit.run_local.plan import NAMESPACE
from stepkit.run_local.secret_files import SecretUse
from stepkit.tekton import substitute_variables
from stepkit.tekton.objects import Step
from stepkit.tekton.substitute_variables import Names, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepkit.run_local.plan import TaskRun

TEKTON_HOME: Final = "/tekton/home"  # a volume of the pod; here, the caller's own home


@dataclass(frozen=True, kw_only=True)
class Command:
    """One step of a TaskRun; the kubelet's variables in ``env`` and ``argv`` are not expanded."""

    step: Step
    argv: tuple[str, ...]
    env: tuple[tuple[str, str | SecretUse], ...]
    directory: Path | None
    tolerant: bool  # its failure does not stop the Task

    def process(
        self, read: Callable[[SecretUse], str | None] | None = None
    ) -> tuple[list[str], dict[str, str]]:
        """Return the command line and the variables that the Task sets.

        Without ``read`` no secret is read, and its variable is left out.
        """
        env: dict[str, str] = {}
        for name, value in self.env:
            if isinstance(value, str):
                env[name] = substitute_variables.expand(value, env)
            elif read and (secret := read(value)) is not None:
                env[name] = secret
        argv = [substitute_variables.expand(part, env) for part in self.argv]
        if argv[0] in {"python", "python3"}:
            argv[0] = sys.executable
        return argv, env


def commands(run: TaskRun, directory: Path | None, attempt: int = 0) -> list[Command]:
    """Return the steps of ``run``; its results go below ``directory``.

    Without a directory, their paths are shown as they are written in the Task. Raises
    :class:`~stepkit.errors.ConfigurationError` for a step that cannot run here.
    """
    scope = _task_scope(run, directory, attempt)
    found = []
    for step in run.task.task.steps:
        if not step.command:
            raise step.node.error(
                "the command is missing: run-local does not know the image's entrypoint"
            )
        unused = [step.fields[n] for n in ("image", "imagePullPolicy") if n in step.fields]
        unused += [field for mount in step.mounts for field in mount.fields().values()]
        for node in unused:  # a cluster would fail at a variable that does not exist
            if isinstance(node.value, str):
                substitute_variables.text(node, scope)
        argv = substitute_variables.items([*step.command, *step.args], scope)
        if not argv:
            raise step.node.error("the command is empty")
        place = substitute_variables.text(step.directory, scope) if step.directory else ""
        if place and not place.startswith(("/", "$(")):
            raise step.node.error(
                f"the workingDir {place!r} is relative: begin it with a workspace"
            )
        on_error = substitute_variables.text(step.on_error, scope) if step.on_error else ""
        if on_error not in {"", "continue", "stopAndFail"}:
            raise step.node.error(f"onError {on_error!r} is none of continue, stopAndFail")
        found.append(
            Command(
                step=step,
                argv=tuple(argv),
                env=tuple(_environment(step, scope)),
                directory=Path(place) if place else None,
                tolerant=on_error == "continue",
            )
        )
    return found


def _environment(step: Step, scope: Names) -> list[tuple[str, str | SecretUse]]:
    found: list[tuple[str, str | SecretUse]] = []
    for variable in step.variables:
        if variable.secret:
            name = substitute_variables.text(variable.secret.name, scope)
            key = substitute_variables.text(variable.secret.key, scope)
            if "/" in name or "/" in key or {name, key} & {"", ".", ".."}:
                raise variable.secret.key.error(
                    f"{name!r}, {key!r} are not name and key of a Secret"
                )
            found.append((variable.name, SecretUse(name, key, variable.secret.optional)))
            continue
        text = substitute_variables.text(variable.value, scope) if variable.value else ""
        if (variable.name, text) == ("HOME", TEKTON_HOME):
            text = str(Path.home())
        found.append((variable.name, text))
    return found


def _task_scope(run: TaskRun, directory: Path | None, attempt: int) -> Names:
    """Return what the fields of the Task may refer to."""
    task = run.task.task

    def path(reference: str, *parts: str) -> str | Unknown:
        return str(directory.joinpath(*parts)) if directory else Unknown(reference)

    bound: dict[str, Any] = {
        name: Names(path=str(place or ""), bound=str(place is not None).lower())
        for name, place in run.workspaces.items()
    }
    results = {
        name: Names(path=path(f"results.{name}.path", "results", name)) for name in task.results
    }
    codes = {
        f"step-{step.name}": Names(
            exitCode=Names(
                path=path(f"steps.step-{step.name}.exitCode.path", "steps", step.name, "exitCode")
            )
        )
        for step in task.steps
    }
    own = Names(name=task.name if not task.inline else run.name)
    own["retry-count"] = str(attempt) if task.inline else "0"  # always 0 in a referenced Task
    uid = str(uuid.uuid5(uuid.NAMESPACE_OID, run.name))
    return Names(
        params=run.params,
        workspaces=Names(bound),
        results=Names(results),
        steps=Names(codes),
        context=Names(taskRun=Names(name=run.name, namespace=NAMESPACE, uid=uid), task=own),
    )
