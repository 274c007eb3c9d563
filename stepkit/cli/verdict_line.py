"""The last line of a command on stderr: how it ended."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from stepkit.cli import commands, log
from stepkit.errors import Place
from stepkit.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Collection

    from stepkit.step import StepResult


_ANNOTATED: Final = {"failed", "cancelled"}  # verdicts on a run in which a step said so


def spell(result: StepResult, log_format: str, secrets: Collection[str]) -> str:
    """Return the line: for a CI service, an annotation of what is not a plain success."""
    level, verdict, text = _verdict(result)
    command = f"stepkit {result.step}".rstrip()
    shown = log.shown_place(result.place or Place(title=command), secrets)
    plain = f"{command}: {redact(verdict, secrets)}"
    how = log.resolve(log_format)
    if how != "json" and result.outputs.get("verdict") in _ANNOTATED:
        how = "plain"  # the step that decided has annotated this cause
    return log.final_line(how, level, plain, redact(text, secrets), shown)


def _verdict(result: StepResult) -> tuple[int, str, str]:
    """Return level and words of the verdict, and those of its annotation."""
    if result.exit_code:
        text = f"{result.message} [{result.reason}]"
        return logging.ERROR, f"error: {text}", text
    if getattr(commands.COMMANDS[result.step].Outputs, "message_is_verdict", False):
        return logging.INFO, result.message, result.message
    how = f"{result.status} in {result.seconds:.1f} s"
    text = f"{how}: {result.message}" if result.message else how
    return logging.WARNING if result.status in {"tolerated", "flaky"} else logging.INFO, text, text
