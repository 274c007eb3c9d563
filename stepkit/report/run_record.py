"""What a run did: the reports of its steps, put in order, and the verdict that follows."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, Literal

from stepkit.errors import ConfigurationError
from stepkit.report import read_step_reports

if TYPE_CHECKING:
    from pathlib import Path

Verdict = Literal["passed", "passed with tolerated errors", "failed", "cancelled", "incomplete"]

_POLL: Final = 0.5  # seconds between two looks at reports that are not finished
_GOOD: Final = {"succeeded", "tolerated"}
_STATUSES: Final = ("Succeeded", "Failed", "None", "Completed")  # Tekton's
_AGREEING: Final = {"passed": "succeeded", "tolerated": "tolerated", "failed": "failed",
                    "cancelled": "cancelled"}  # fmt: skip
# Tekton's reasons for what it ended itself: how the step ended, why, and what is said of it.
_STOPPED: Final = {
    "TaskRunCancelled": ("cancelled", "cancelled", "the pipeline says that it was cancelled"),
    "TaskRunTimeout": ("failed", "timeout", "the pipeline says that it took too long"),
}
_FAILED: Final = ("failed", "killed", "the pipeline says that it failed")
_OVER: Final = {"Failed", "FailureIgnored"}  # its containers have ended, and its report knows more
# They run side by side at the end of a run: none's report is finished while another reads it.
_LAST_STEPS: Final = frozenset({"summarize", "publish-artifacts", "notify"})


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One step of the run.

    ``status`` is its report's, or ``not run`` when it left none; ``data`` is the whole report.
    """

    name: str
    status: str
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    seconds: float = 0.0
    started: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    def output(self, name: str) -> Any:
        """Return one output of the step, None if it has none of that name."""
        return self.data.get("outputs", {}).get(name)

    @property
    def bad(self) -> bool:
        """Whether the step ended badly."""
        return self.status in {"failed", "cancelled"}

    @property
    def unfinished(self) -> bool:
        """Whether its report is still the one that it wrote when it began."""
        return self.data.get("reason") == "killed" and self.data.get("exit_code") is None

    @property
    def notebooks(self) -> Sequence[Mapping[str, Any]]:
        """The notebooks of a step that runs several."""
        items: Sequence[Mapping[str, Any]] = self.output("notebooks") or ()
        return items if self.data.get("step") == "execute-notebooks" else ()

    @property
    def tolerated(self) -> int:
        """How many errors the step tolerated, because they were declared."""
        step, cells = self.data.get("step"), self.output("cells") or ()
        if step == "execute-notebook":
            return sum(cell["status"] == "tolerated" for cell in cells)
        if step == "run-tests":
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
        return "passed with tolerated errors" if "tolerated" in statuses else "passed"

    @property
    def tolerated(self) -> int:
        """How many errors the run tolerated; a notebook with a report of its own counts once."""
        told_twice = sum(int(item["tolerated"]) for item, own in self.parts() if own)
        return sum(entry.tolerated for entry in self.entries) - told_twice

    @property
    def headline(self) -> str:
        """The verdict with the number of tolerated errors, where the reports tell it."""
        uncounted = (e for e in self.entries if e.status == "tolerated" and e.tolerated < 1)
        if self.verdict != "passed with tolerated errors" or any(uncounted):
            return self.verdict
        count = self.tolerated
        return f"passed with {count} tolerated error{'s' if count > 1 else ''}"

    @property
    def steps(self) -> Sequence[Entry]:
        """The entries without notebooks of which the step that ran them says the same."""
        told = {own.name for item, own in self.parts() if own and _agree(item, own)}
        return [entry for entry in self.entries if entry.name not in told]

    @property
    def cause(self) -> Entry | None:
        """The step that decided the verdict: the first that ended badly."""
        bad = [entry for entry in self.entries if entry.bad]
        return next((entry for entry in bad if entry.status == "failed"), bad[0] if bad else None)

    def of_step(self, step: str) -> list[Entry]:
        """Return the entries of one kind of step that left a report."""
        return [entry for entry in self.entries if entry.data.get("step") == step]

    @property
    def tests(self) -> list[Entry]:
        """The steps that ran tests: one that only makes their environment has no totals."""
        return [
            entry
            for entry in self.of_step("run-tests")
            if not isinstance(options := entry.data.get("options"), dict)
            or options.get("only-prepare") is not True
        ]

    def parts(self) -> list[tuple[Mapping[str, Any], Entry | None]]:
        """Return each notebook of the steps that ran several, with its own report if it is here."""
        own = {entry.name: entry for entry in self.of_step("execute-notebook")}
        return [
            (item, own.get(PurePath(item["report"] or "").stem))
            for entry in self.entries
            for item in entry.notebooks
        ]


def load_ended(
    directory: Path,
    *,
    expected: Sequence[str],
    statuses: Mapping[str, str],
    title: str,
    grace: float,
) -> Run:
    """Read like :func:`load`, once every report is finished, at most ``grace`` seconds later.

    A step that is stopped still saves while the last tasks of its pipeline begin; one that failed
    by itself is over.
    """
    over = {n for n, told in statuses.items() if told.partition("/")[2] in _OVER}
    deadline = time.monotonic() + grace
    while True:
        run = load(directory, expected=expected, statuses=statuses, title=title)
        waiting = [e.name for e in run.entries if e.unfinished and e.name not in over]
        if not waiting or time.monotonic() >= deadline:
            return run
        time.sleep(_POLL)


def load(
    directory: Path, *, expected: Sequence[str], statuses: Mapping[str, str], title: str
) -> Run:
    """Read ``NAME.json`` of each step in ``directory``.

    The ``expected`` names come in that order; the rest are put in by the time they started.
    An expected name may be a path: ``notebooks/intro.ipynb`` is read from
    ``notebooks/intro.ipynb.json``.
    ``statuses`` is what the pipeline itself says of a task: ``Succeeded``, ``Failed`` or ``None``,
    and after a ``/`` why, in Tekton's words: ``Failed/TaskRunCancelled``.
    A task that failed without a report of its own is added, unless it has the name of a step of
    which another report says so: a matrix leaves one report for each of its notebooks.
    A report that cannot be read counts as a failed step: what it said is not known.
    """
    paths = {path.name.removesuffix(".json"): path for path in sorted(directory.glob("*.json"))}
    below = {name: directory / f"{name.lstrip('/')}.json" for name in expected}
    paths |= {name: path for name, path in below.items() if path.exists()}
    by_name = {name: read(path, name) for name, path in paths.items()}
    found = {
        name: entry
        for name, entry in by_name.items()
        if name in expected or entry.data.get("step") not in _LAST_STEPS
    }
    names = _in_order(expected, found)
    entries = [_reconciled(found.get(name), name, statuses.get(name)) for name in names]
    explained = {*names, *(entry.data.get("step") for entry in entries if entry.bad)}
    entries += [
        _reconciled(None, name, told)
        for name, told in statuses.items()
        if told.startswith("Failed") and name not in explained
    ]
    return Run(title=title, entries=entries)


def _in_order(expected: Sequence[str], found: Mapping[str, Entry]) -> list[str]:
    """Put what was not expected before the first that started later, else at the end."""
    names = list(dict.fromkeys(expected))
    rest = [entry for name, entry in found.items() if name not in expected]
    for entry in sorted(rest, key=lambda entry: entry.started):
        begun = [found[name].started if name in found else "" for name in names]
        later = (place for place, started in enumerate(begun) if started > entry.started)
        names.insert(next(later, len(names)), entry.name)
    return names


def pipeline_statuses(items: Sequence[str]) -> dict[str, str]:
    """Read ``NAME=STATUS`` or ``NAME=STATUS/REASON`` of each task.

    Raises :class:`ConfigurationError` for anything else, and for two about one task.
    """
    found: dict[str, str] = {}
    for item in items:
        name, _, told = item.partition("=")
        if not name or "=" not in item:
            raise ConfigurationError(f"--statuses {item!r} is not NAME=STATUS")
        if told.partition("/")[0] not in _STATUSES:
            raise ConfigurationError(
                f"--statuses {item!r}: a task's status is one of {', '.join(_STATUSES)}"
            )
        if found.setdefault(name, told) != told:
            raise ConfigurationError(f"--statuses says {found[name]} and {told} of {name}")
    return found


def _reconciled(entry: Entry | None, name: str, told: str | None) -> Entry:
    """Join what the report and the pipeline say; the worse of the two is true."""
    status, _, why = (told or "").partition("/")
    if status == "None":  # the report is an earlier run's, in a directory that was used again
        return Entry(name=name, status="not run")
    if status != "Failed":
        return entry or Entry(name=name, status="not run")
    ended, reason, said = _STOPPED.get(why, _FAILED)
    if why not in {*_STOPPED, *_OVER, ""}:  # no pod, no image, no room for its results
        said += f" ({why})"
    if entry is None:
        return Entry(name=name, status=ended, reason=reason, message=f"{said}; it left no report")
    if not entry.bad:
        said = f"its report says {entry.status}, {said}"
    elif why == "TaskRunTimeout" and entry.status == "cancelled":
        said = f"{said}: {entry.message}"  # the step saw SIGTERM alone
    elif why not in _STOPPED or not entry.unfinished:
        return entry
    return replace(entry, status=ended, reason=reason, message=said, exit_code=None)


def read(path: Path, name: str = "") -> Entry:
    """Read one report; one that cannot be read is a failure, and its ``data`` is empty."""
    name = name or path.stem
    try:
        if not path.is_file():  # a pipe would block for ever
            raise ValueError("it is no regular file")  # noqa: TRY301
        return _entry(name, read_step_reports.check(json.loads(path.read_bytes())))
    except OSError as error:
        why = error.strerror or str(error)
    except RecursionError:
        why = "it nests too deep"
    except ValueError as error:
        why = str(error)
    message = f"its report {path.name} cannot be read: {why}"
    return Entry(name=name, status="failed", reason="bad-input", message=message)


def _agree(item: Mapping[str, Any], own: Entry) -> bool:
    return _AGREEING.get(item["status"]) == own.status


def _entry(name: str, data: Mapping[str, Any]) -> Entry:
    status, message = data["status"], " ".join(data["message"].split())
    reason = " ".join(data["reason"].split())
    if status in _GOOD and data["exit_code"] != 0:  # the exit code is what a pipeline acts on
        message = f"its report says {status}, but its exit code is {data['exit_code']}"
        status, reason = "failed", "task-failed"
    return Entry(
        name=name,
        status=status,
        reason=reason,
        message=message,
        exit_code=data["exit_code"],
        seconds=float(data["seconds"]),
        started=data["started"],
        data=data,
    )
