"""Which reports make a run, and what the pipeline itself says of it: flags of who tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from stepkit.options import DURATION
from stepkit.report import run_record


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Flags about a run and its reports."""

    heading: ClassVar[str] = "the run"

    reports: Annotated[Path, "directory with the JSON reports of the steps"]
    expect: Annotated[
        tuple[str, ...], "steps that belong to the run, in order, by report name"
    ] = ()
    statuses: Annotated[
        tuple[str, ...],
        "NAME=STATUS or NAME=STATUS/REASON as the pipeline saw it (Tekton's $(tasks.NAME.status))",
    ] = ()
    title: Annotated[str, "name of the run, told first"] = "Notebook run"
    grace: Annotated[
        float,
        "how long a step that was stopped may take to finish its report; Tekton gives it 30s",
        DURATION,
    ] = 0.0

    def load(self) -> run_record.Run:
        """Read the reports, once all are finished or ``grace`` is over.

        Raises :class:`~stepkit.errors.ConfigurationError` for a status that is none.
        """
        return run_record.load_ended(
            self.reports.absolute(),
            expected=self.expect,
            statuses=run_record.pipeline_statuses(self.statuses),
            title=self.title,
            grace=self.grace,
        )
