"""The sentence that says why a run failed, kept in the executed notebook for its page."""

from __future__ import annotations

from typing import Any

from stepkit import redaction
from stepkit.errors import StepError
from stepkit.notebook import verdict


def describe(execution: verdict.Execution) -> str:
    """Say in one sentence why a run failed or was stopped, or return ``""`` for a success."""
    if execution.cancelled_by:
        return verdict.stopped_by(execution, execution.cancelled_by)
    try:
        verdict.judge(execution)
    except StepError as error:
        return str(error)
    return ""


def write(nb: Any, sentence: str) -> None:
    """Keep ``sentence`` in ``nb``, without secrets, or remove an earlier one if it is empty."""
    ours = nb.metadata.get("stepkit")
    kept = dict(ours) if isinstance(ours, dict) else {}
    kept.pop("failure", None)
    if sentence:
        kept["failure"] = redaction.redact(sentence)
    nb.metadata.pop("stepkit", None)
    if kept:
        nb.metadata["stepkit"] = kept


def read(nb: Any) -> str:
    """Return the sentence in ``nb``, or ``""``."""
    ours = nb["metadata"].get("stepkit")
    sentence = ours.get("failure") if isinstance(ours, dict) else None
    return sentence.strip() if isinstance(sentence, str) else ""
