"""Every step, by the name of its command, in the order of a pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:  # `stepkit --help` imports this module, and little else
    from stepkit.options import NameIn
    from stepkit.step import InReport, Step

MODULES: Final = {
    "prepare-workspace": "stepkit.steps.prepare_workspace",
    "check-environment": "stepkit.steps.check_environment",
    "git-clone": "stepkit.steps.git_clone",
    "write-smoke-notebook": "stepkit.steps.write_smoke_notebook",
    "download-dataset": "stepkit.steps.download_dataset",
    "execute-notebook": "stepkit.steps.execute_notebook",
    "execute-notebooks": "stepkit.steps.execute_notebooks",
    "convert-notebook": "stepkit.steps.convert_notebook",
    "run-tests": "stepkit.steps.run_tests",
    "collect-artifacts": "stepkit.steps.collect_artifacts",
    "publish-artifacts": "stepkit.steps.publish_artifacts",
    "summarize": "stepkit.steps.summarize",
    "notify": "stepkit.steps.notify",
    "clean-workspace": "stepkit.steps.clean_workspace",
}


class Registry(Mapping[str, "Step"]):
    """Modules by the name of a command; each is imported when it is looked up."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._modules = modules

    def __getitem__(self, name: str) -> Step:
        """Import the module of that command."""
        return cast("Step", import_module(self._modules[name]))

    def summary(self, name: str) -> str:
        """Return the first line of a command's help: its file is read, not imported."""
        found = find_spec(self._modules[name])
        assert found
        assert found.origin
        with Path(found.origin).open(encoding="utf-8") as file:
            return file.readline().strip().removeprefix("r").strip('"')

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._modules)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._modules)


STEPS: Final = Registry(MODULES)


def in_report(name: str) -> InReport:
    """Return what the report of a run shows of a step; of an unknown one, its row alone."""
    from stepkit.step import InReport

    outputs = STEPS[name].Outputs if name in STEPS else None
    declared: InReport = getattr(outputs, "in_report", InReport())
    return declared


def command_line(name: str, options: Mapping[str, Any]) -> list[str]:
    """Return the arguments that run a step again; ``options`` are those in its report.

    Secrets, defaults and what has no effect are left out. Of an unknown step, nothing is returned.
    """
    from stepkit.options import NameIn, declared
    from stepkit.step import kebab

    words = ["stepkit", name] if name in STEPS else []
    for option in declared(STEPS[name].Options) if words else ():
        flag, default = kebab(option.field.name), option.field.default
        value = options.get(flag)
        if option.secret or value in (None, "", [], default, str(default)):
            continue
        if any(
            isinstance(note, NameIn) and _is_idle(value, note, options) for note in option.notes
        ):
            continue
        several = value if isinstance(value, list) else [value]
        if isinstance(default, tuple) and several == list(default):
            continue
        shown = [_spelled(item) for item in several if isinstance(item, str | int | float)]
        if any(text.startswith("-") for text in shown):
            words += [f"--{flag}={text}" for text in shown]
        else:
            words += [f"--{flag}", *shown]
    return words


def _is_idle(value: object, note: NameIn, options: Mapping[str, Any]) -> bool:
    return "/" not in str(value) and not options.get(note.directory)


def _spelled(value: str | float) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
