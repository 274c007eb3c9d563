"""Run a step, or take what an earlier run of it made."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from stepkit.cli import run_step, step_report
from stepkit.cli.resume import proof as proofs
from stepkit.cli.resume import reuse

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from _typeshed import DataclassInstance

    from stepkit.step import Step, StepResult


def run_or_reuse(
    name: str,
    step: Step,
    options: DataclassInstance,
    *,
    report: Path | None,
    resume: str,
    secrets: Iterable[str],
) -> StepResult:
    """Return how the step ended, with its proof; ``resume`` is the earlier run, "" for none.

    Raises :class:`~stepkit.errors.StepError` when a file cannot be written.
    """
    proof = proofs.begin(name, step, options, report, secrets)
    if resume and report and (reused := reuse.find(name, resume, report, proof)):
        return step_report.complete(reused, options)
    ended = step_report.complete(run_step.execute(name, step, options), options)
    if proof is None or report is None:
        return ended
    return dataclasses.replace(ended, proof=proofs.end(proof, ended, report))
