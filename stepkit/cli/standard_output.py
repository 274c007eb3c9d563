"""What a command prints on stdout: its report, its answer, or a line for each output."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from stepkit import steps
from stepkit.cli import commands, run_step, step_report, tekton_results, terminal
from stepkit.options import PRINTED, declared
from stepkit.redaction import redact
from stepkit.step import kebab
from stepkit.system import logfile

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from stepkit.cli.destinations import Destinations
    from stepkit.step import StepResult


_reserved = False


def reserve(*, for_report: bool) -> None:
    """Note that stdout gets the report and nothing else, if ``for_report``."""
    global _reserved  # noqa: PLW0603 - as stdout is one for the whole process
    _reserved = for_report


def is_reserved() -> bool:
    """Return whether a command that prints while it works must not."""
    return _reserved


def text(result: StepResult, to: Destinations) -> str:
    """Return what stdout gets, without its last newline.

    With ``to.stdout`` it is the report. Otherwise it is a text that is marked :data:`PRINTED`, and
    a line NAME=VALUE for each output of a command that does more than answer; on a terminal, its
    files alone.
    """
    if to.stdout:
        return as_json(step_report.as_json(result, to.secrets))
    command = commands.COMMANDS.get(result.step)
    fields = declared(command.Outputs) if command else ()
    printed = [kebab(option.field.name) for option in fields if PRINTED in option.notes]
    answer = "".join(result.outputs.get(name, "") for name in printed)
    lines = redact(answer, to.secrets).rstrip("\n").split("\n") if answer else []
    lines = [logfile.whole_line(line) for line in lines]
    if command is None or not run_step.answers(command):
        spell = _for_a_person if terminal.is_terminal(sys.stdout) else _for_a_program
        lines += map(logfile.one_line, spell(result, _outputs(result, to.secrets)))
    return "\n".join(lines)


def _for_a_program(_: StepResult, outputs: Mapping[str, str]) -> Iterator[str]:
    """Yield each output, as ``$GITHUB_OUTPUT`` wants it."""
    yield from (f"{name}={value}" for name, value in outputs.items())


def _for_a_person(result: StepResult, outputs: Mapping[str, str]) -> Iterator[str]:
    """Yield the files that there are to open, and where to read about a failure."""
    for name, value in outputs.items():
        if os.path.isabs(value) and os.path.exists(value):  # noqa: PTH110,PTH117 - any text
            yield f"{name}: {value}"
    if result.exit_code and result.step in steps.STEPS:
        yield f"what to try: stepkit explain {result.reason}"


def as_json(document: Any, *, indent: int | None = 2) -> str:
    """Spell ``document`` as JSON that no terminal and no CI service takes for a command.

    Without ``indent`` it is one line.
    """
    spelled = json.dumps(document, indent=indent)
    return spelled.replace("\x7f", r"\u007f").replace("##[", r"#\u0023[")


def _outputs(result: StepResult, secrets: Collection[str]) -> Mapping[str, str]:
    """Return what --result may ask for."""
    command = commands.COMMANDS.get(result.step)
    common = tekton_results.COMMON_OUTPUTS
    shown = tekton_results.output_names(command) if command else common
    values = tekton_results.texts(result, secrets)
    own = {name: value for name, value in values.items() if name in shown and name not in common}
    return own | {name: values[name] for name in common}
