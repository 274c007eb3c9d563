"""Read the reports of a run's steps, and refuse in one line what cannot be shown.

A report may be half written, edited by hand or from another version: what renders it relies on the
JSON Schemas beside this module.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from stepkit.formats import json_schema
from stepkit.report import older_reports, pipeline_statuses
from stepkit.report.saved_outputs import saved_outputs
from stepkit.report.steps_of_run import Entry, Run
from stepkit.step import InReport

Declarations = Callable[[str], InReport]  # by the name of a step

_POLL: Final = 0.5  # seconds between two looks at reports that are not finished
_SCHEMAS: Final = Path(__file__).parent
_LARGEST: Final = 64 << 20  # bytes of a report; that of 10,000 cells has a tenth of it


def load_ended(
    directory: Path,
    in_report: Declarations,
    *,
    expected: Sequence[str],
    statuses: Mapping[str, str],
    title: str,
    grace: float,
    not_asked_for: Collection[str] = (),
) -> Run:
    """Read like :func:`load`, once every report is finished, at most ``grace`` seconds later.

    A step that is stopped still saves while the last tasks of its pipeline begin; one whose
    container has ended is over.
    """
    over = {
        name
        for name, status in statuses.items()
        if status.partition("/")[2] in pipeline_statuses.OVER
    }
    deadline = time.monotonic() + grace
    while True:
        run = load(
            directory,
            in_report,
            expected=expected,
            statuses=statuses,
            title=title,
            not_asked_for=not_asked_for,
        )
        waiting = [e.name for e in run.entries if e.unfinished and e.name not in over]
        if not waiting or time.monotonic() >= deadline:
            return run
        time.sleep(_POLL)


def load(
    directory: Path,
    in_report: Declarations,
    *,
    expected: Sequence[str],
    statuses: Mapping[str, str],
    title: str,
    not_asked_for: Collection[str] = (),
) -> Run:
    """Read ``NAME.json`` of each step in ``directory``.

    ``in_report`` returns what the step of a name declares; unknown names get a plain
    :class:`InReport`.
    The ``expected`` names come in that order; the rest are put in by the time they started.
    An expected name may be a path: ``notebooks/intro.ipynb`` is read from
    ``notebooks/intro.ipynb.json``.
    ``statuses`` is what the pipeline itself says of a task: ``Succeeded``, ``Failed`` or ``None``,
    and after a ``/`` why, in Tekton's words: ``Failed/TaskRunCancelled``.
    A task that failed and left no report is added, unless a report of a step of that name says that
    it failed: a matrix leaves one report for each of its notebooks.
    A report that cannot be read counts as a failed step. Of the expected steps, those in
    ``not_asked_for`` do not lack a report.
    """
    # Not glob, which from Python 3.13 on takes a directory that it cannot read for an empty one.
    there = sorted(directory.iterdir()) if directory.is_dir() else []
    paths = {path.stem: path for path in there if path.suffix == ".json"}
    below = {name: directory / f"{name.lstrip('/')}.json" for name in expected}
    paths |= {name: path for name, path in below.items() if path.exists()}
    by_name = {name: read(path, in_report, name) for name, path in paths.items()}
    found = {
        name: entry
        for name, entry in by_name.items()
        if name in expected or not entry.in_report.ends_run
    }
    names = list(dict.fromkeys(expected))
    rest = [entry for name, entry in found.items() if name not in expected]
    for entry in sorted(rest, key=lambda entry: entry.started):
        begun = [found[name].started if name in found else "" for name in names]
        later = (place for place, started in enumerate(begun) if started > entry.started)
        names.insert(next(later, len(names)), entry.name)
    reconcile = pipeline_statuses.reconcile
    entries = [
        reconcile(found.get(name), name, statuses.get(name), asked_for=name not in not_asked_for)
        for name in names
    ]
    explained = {*names, *(entry.data.get("step") for entry in entries if entry.bad)}
    entries += [
        reconcile(None, name, status)
        for name, status in statuses.items()
        if status.startswith("Failed") and name not in explained
    ]
    return Run(title=title, entries=entries)


def read(path: Path, in_report: Declarations, name: str = "") -> Entry:
    """Read one report; one that cannot be read is a failure, and its ``data`` is empty."""
    name = name or path.stem
    try:
        if not path.is_file():  # a pipe would block for ever
            raise ValueError("it is not a regular file")  # noqa: TRY301
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST >> 20} MiB")  # noqa: TRY301
        # Python reads NaN and Infinity, which JSON lacks: as text, they do not pass for numbers.
        data = json.loads(path.read_bytes(), parse_constant=str)
        _check(data, "step_report")
        declared = in_report(data["step"])
        if older_reports.is_newer(data):
            return _newer(name, data, declared)
        data = older_reports.upgrade(data)
        if declared.section:
            _check(data, declared.section)
    except OSError as error:
        return _unreadable(name, path, error.strerror or str(error))
    except RecursionError:
        return _unreadable(name, path, "it nests too deep")
    except ValueError as error:
        return _unreadable(name, path, str(error))
    entry = _entry(name, data, declared)
    if entry.unfinished and declared.saves:
        data["outputs"] = data["outputs"] | saved_outputs(entry)
    return entry


def _entry(name: str, data: dict[str, Any], declared: InReport) -> Entry:
    status, code = data["status"], data["exit_code"]
    reason, message = (" ".join(data[key].split()) for key in ("reason", "message"))
    # A pipeline acts on the exit code.
    if status in {"succeeded", "tolerated", "flaky"} and code != 0:
        message = f"its report says {status}, but its exit code is {code}"
        status, reason = "failed", "task-failed"
    elif status in {"succeeded", "tolerated", "flaky"} and (failed := _failures(data, declared)):
        message = f"its report says {status}, and its outputs say that {failed}"
        status, reason = "failed", "task-failed"
    return Entry(
        name=name,
        status=status,
        reason=reason,
        message=message,
        exit_code=code,
        seconds=float(data["seconds"]),
        started=data["started"],
        data=data,
        in_report=declared,
    )


def _failures(data: Mapping[str, Any], declared: InReport) -> str:
    """Say how many tests, cells or notebooks failed by the outputs of a report; "" if none did."""
    outputs = data.get("outputs", {})
    if declared.section == "tests":
        failed = int(outputs.get("failed") or 0) + int(outputs.get("errors") or 0)
    else:
        what = {"notebook": "cells", "notebooks": "notebooks"}.get(declared.section, "")
        statuses = [item["status"] for item in outputs.get(what) or ()]
        failed = sum(status in {"error", "stopped", "failed"} for status in statuses)
    return f"{failed} failed" if failed else ""


def _newer(name: str, data: dict[str, Any], declared: InReport) -> Entry:
    """Return the row of a report whose sections this version cannot know."""
    known = {key: value for key, value in data.items() if key != "outputs"}
    entry = _entry(name, known, InReport(ends_run=declared.ends_run))
    note = f"of its report only this row is shown: {data['schema']} is newer than this stepkit"
    return replace(entry, message="; ".join(filter(None, (entry.message, note))))


def _unreadable(name: str, path: Path, why: str) -> Entry:
    message = f"its report {path.name} cannot be read: {why}"
    return Entry(name=name, status="failed", reason="bad-input", message=message)


def _check(data: Any, schema: str) -> None:
    """Raise :class:`ValueError` that names the first part which does not fit the schema."""
    for keys, problem in json_schema.find_problems(data, _SCHEMAS / f"{schema}.schema.json"):
        place = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
        raise ValueError(f"{place.removeprefix('.') or 'the report'} {problem}")
