"""The options of a step that reads a whole run: where the reports are, which belong to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from stepkit.formats.asked_for import find_not_asked_for
from stepkit.options import DURATION
from stepkit.report import pipeline_statuses, read_step_reports

if TYPE_CHECKING:
    from stepkit.report.steps_of_run import Run


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
    asked_for: Annotated[
        tuple[str, ...],
        "NAME=VALUE; a step of --expect that the run does without if VALUE is empty or false",
    ] = ()
    title: Annotated[str, "name of the run, which the report begins with"] = "Notebook run"
    grace: Annotated[
        float,
        "how long a step that was stopped may take to finish its report; Tekton gives it 30s",
        DURATION,
    ] = 0.0

    def load(self, in_report: read_step_reports.Declarations) -> Run:
        """Read the reports, once all are finished or ``grace`` is over.

        ``in_report`` returns what a step declares, by its name. Raises
        :class:`~stepkit.errors.ConfigurationError` for a status that Tekton does not have.
        """
        return read_step_reports.load_ended(
            self.reports.absolute(),
            in_report,
            expected=self.expect,
            statuses=pipeline_statuses.parse(self.statuses),
            title=self.title,
            grace=self.grace,
            not_asked_for=find_not_asked_for(self.asked_for),
        )
