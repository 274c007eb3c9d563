"""What a run did: its steps in order, the verdict that follows, and the number of errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Final, Literal

from stepkit.report import unchecked_values
from stepkit.step import InReport

Verdict = Literal[
    "passed", "passed with tolerated errors", "flaky", "failed", "cancelled", "incomplete"
]
# Verdicts with which a pipeline goes on: exit code 0.
GOOD: Final = frozenset({"passed", "passed with tolerated errors", "flaky"})

# How a step that ran several notebooks and the notebook's own report spell the same.
_SAME_STATUS: Final = {
    "passed": "succeeded",
    "tolerated": "tolerated",
    "flaky": "flaky",
    "failed": "failed",
    "cancelled": "cancelled",
    "reused": "reused",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One step of the run.

    ``status`` is its report's; ``not run`` when it left none, and ``not asked for`` when this run
    does without it. ``data`` is the whole report, and ``in_report`` what its step declares of it.
    """

    name: str
    status: str
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    seconds: float = 0.0
    started: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    in_report: InReport = field(default_factory=InReport)

    def output(self, name: str) -> Any:
        """Return one output of the step, None if it has none of that name."""
        return self.data.get("outputs", {}).get(name)

    @property
    def earlier(self) -> Mapping[str, Any] | None:
        """The run of the same step before this one, None if this is the first."""
        found: Mapping[str, Any] | None = self.data.get("earlier")
        return found

    def option(self, name: str) -> Any:
        """Return one option that the step was given, None if the report does not have it."""
        options = self.data.get("options")
        return options.get(name) if isinstance(options, dict) else None

    @property
    def bad(self) -> bool:
        """Whether the step ended badly."""
        return self.status in {"failed", "cancelled"}

    @property
    def unfinished(self) -> bool:
        """Whether its report is still the one that it wrote when it began."""
        return self.data.get("reason") == "killed" and self.data.get("exit_code") is None

    @property
    def reused(self) -> Mapping[str, Any] | None:
        """Of a step whose files are those of an earlier run: that run, and how it ended there."""
        found: Mapping[str, Any] | None = self.data.get("reused")
        return found if self.status == "reused" else None

    @property
    def row_alone(self) -> bool:
        """Whether the step ran with the option that leaves out all but its row."""
        return self.option(self.in_report.except_with) is True

    @property
    def notebooks(self) -> Sequence[Mapping[str, Any]]:
        """The notebooks of a step that ran several."""
        if self.in_report.section != "notebooks":
            return ()
        items: Sequence[Mapping[str, Any]] = self.output("notebooks") or ()
        return items

    @property
    def passed_notebooks(self) -> int:
        """How many of its notebooks passed, tolerated errors included."""
        return sum(item["status"] in {"passed", "tolerated", "reused"} for item in self.notebooks)

    @property
    def tolerated(self) -> int:
        """How many errors the step tolerated, because they were declared."""
        if self.in_report.section == "notebook":
            return sum(cell["status"] == "tolerated" for cell in self.output("cells") or ())
        if self.in_report.section == "tests":
            return int(self.output("allowed") or 0)
        return sum(int(item["tolerated"]) for item in self.notebooks)


@dataclass(frozen=True, kw_only=True)
class Run:
    """All steps of a run, in order."""

    title: str
    entries: Sequence[Entry]

    @property
    def verdict(self) -> Verdict:
        """The worst of what the steps say; a step that did not run leaves the run incomplete."""
        statuses = {entry.status for entry in self.entries}
        if "failed" in statuses:
            return "failed"
        if "cancelled" in statuses:
            return "cancelled"
        if "not run" in statuses or not statuses:
            return "incomplete"
        statuses |= {entry.reused["status"] for entry in self.entries if entry.reused}
        if "flaky" in statuses:
            return "flaky"
        return "passed with tolerated errors" if "tolerated" in statuses else "passed"

    @property
    def tolerated(self) -> int:
        """How many errors the run tolerated; a notebook with a separate report counts once."""
        counted_twice = sum(int(item["tolerated"]) for item, own in self.planned_notebooks() if own)
        return sum(entry.tolerated for entry in self.entries) - counted_twice

    @property
    def headline(self) -> str:
        """The verdict with the number of flaky notebooks, or of tolerated errors, if it is known.

        It names the runs from which steps, and notebooks of several, were reused.
        """
        note = self._reused()
        if self.verdict == "flaky":
            return f"{self._flaky()}{note}"
        uncounted = (e for e in self.entries if e.status == "tolerated" and e.tolerated < 1)
        if self.verdict != "passed with tolerated errors" or any(uncounted):
            return self.verdict + note
        count = self.tolerated
        return f"passed with {count} tolerated error{'s' if count > 1 else ''}{note}"

    def _flaky(self) -> str:
        own = {report.name for _, report in self.planned_notebooks() if report}
        alone = [e for e in self.of_section("notebook") if e.name not in own]
        ended = [e.reused["status"] if e.reused else e.status for e in alone]
        ended += [
            report.reused["status"] if report and report.reused else str(item["status"])
            for item, report in self.planned_notebooks()
        ]
        count = ended.count("flaky")
        some = f": {count} notebook{'s' if count > 1 else ''} had to run again" if count else ""
        errors = f", {self.tolerated} tolerated error{'s' if self.tolerated > 1 else ''}"
        return f"flaky{some}{errors if self.tolerated else ''}"

    def _reused(self) -> str:
        planned = self.planned_notebooks()
        own = {report.name for _, report in planned if report}
        parts = {
            "step": [e.reused["run"] for e in self.entries if e.reused and e.name not in own],
            "notebook": [str(i.get("reused_from")) for i, _ in planned if i["status"] == "reused"],
        }
        shown = [
            f"{len(runs)} {what}{'s' if len(runs) > 1 else ''}"
            for what, runs in parts.items()
            if runs
        ]
        named = [unchecked_values.line(run) for names in parts.values() for run in names]
        runs = dict.fromkeys(name or "an earlier run" for name in named)
        return f", {' and '.join(shown)} reused from {' and '.join(runs)}" if shown else ""

    @property
    def steps(self) -> Sequence[Entry]:
        """The entries without notebooks of which the step that ran them says the same."""
        repeated = {
            own.name
            for item, own in self.planned_notebooks()
            if own and _SAME_STATUS.get(item["status"]) == own.status
        }
        return [entry for entry in self.entries if entry.name not in repeated]

    @property
    def cause(self) -> Entry | None:
        """The step that decided the verdict: the first that failed, else that was cancelled."""
        bad = [entry for entry in self.entries if entry.bad]
        return next((entry for entry in bad if entry.status == "failed"), bad[0] if bad else None)

    @property
    def not_run(self) -> list[str]:
        """The names of the steps that did not run."""
        return [entry.name for entry in self.entries if entry.status == "not run"]

    def of_section(self, section: str) -> list[Entry]:
        """Return the steps whose outputs describe a ``notebook``, ``notebooks`` or ``tests``."""
        return [
            entry
            for entry in self.entries
            if entry.in_report.section == section and not entry.row_alone
        ]

    def planned_notebooks(self) -> list[tuple[Mapping[str, Any], Entry | None]]:
        """Return each notebook of the steps that ran several, with its own report if it is here."""
        own = {entry.name: entry for entry in self.of_section("notebook")}
        return [
            (item, own.get(PurePath(item["report"] or "").stem))
            for entry in self.entries
            for item in entry.notebooks
        ]
