"""Make a row of the index from the record of a run, which may be torn, hostile, or of a later date.

A row needs a few fields of the record, so only these are checked: a thousand records are read in
a second.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from stepkit.formats.shorten import shorten
from stepkit.report.run_json import SCHEMA
from stepkit.report.web_links import commit_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stepkit.report.index.runs_json import NotebookRowJson, RowJson

LARGEST: Final = 50 << 20  # bytes of a record

_VERDICTS: Final = {
    "passed",
    "passed with tolerated errors",
    "flaky",
    "failed",
    "cancelled",
    "incomplete",
}
_STATUS: Final = {"passed with tolerated errors": "tolerated", "incomplete": "not-run"}
_NOTEBOOK: Final = {"name": "", "path": "", "variant": "", "status": "", "duration_ms": None}
_MAY_BE_NONE: Final = {
    "started": str,
    "duration_ms": int,
    "tests_passed": int,
    "tests_total": int,
    "gpu_peak": int,
    "gpu_utilisation": int | float,
}
_SUFFIX: Final = ".ipynb"
_MOST_TEXT: Final = 120  # characters of a name
_MOST_CAUSE: Final = 100
_MOST_NOTEBOOKS: Final = 1000
_LARGEST_NUMBER: Final = 1 << 53


def unreadable(path: str, version: str, why: str) -> RowJson:
    """Return the row of a record that could not be read: ``why`` is half a sentence."""
    return {
        "path": path,
        "version": version,
        "unreadable": shorten(why, _MOST_TEXT),
        "id": "",
        "title": "",
        "verdict": "",
        "cause": "",
        "started": None,
        "duration_ms": None,
        "commit": "",
        "commit_url": "",
        "notebooks": [],
        "tests_passed": None,
        "tests_total": None,
        "gpu": "",
        "gpu_peak": None,
        "gpu_utilisation": None,
        "flaky": 0,
        "reused": 0,
        "regressions": 0,
        "report": "",
    }


def too_large(path: str, version: str) -> RowJson:
    """Return the row of a record that is not read."""
    return unreadable(path, version, f"it has more than {LARGEST >> 20} MiB")


def is_row(value: Any) -> bool:
    """Return whether ``value``, of a runs.json, is a row as this module makes them."""
    return _fits(value, unreadable("", "", ""), _MAY_BE_NONE) and all(
        _fits(each, _NOTEBOOK, _MAY_BE_NONE) for each in value["notebooks"]
    )


def _fits(value: Any, example: Mapping[str, Any], kinds: Mapping[str, Any]) -> bool:
    """Return whether ``value`` has the keys of ``example``, and perhaps more, of the same types."""
    return (
        isinstance(value, dict)
        and value.keys() >= example.keys()
        and all(
            (value[name] is None and name in kinds)
            or isinstance(value[name], kinds.get(name, type(usual)))
            for name, usual in example.items()
        )
        and _time(value.get("started")) == value.get("started")
    )


def row(content: bytes, path: str, version: str, report: str) -> RowJson:
    """Return the row of the record ``content``; ``report`` is the page to open, or ``""``."""
    if len(content) > LARGEST:
        return too_large(path, version)
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        return unreadable(path, version, "it is not whole" if content.strip() else "it is empty")
    try:
        return _row(record, path, version, report)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return unreadable(path, version, f"it is not the record of a run ({SCHEMA})")


def _row(record: Any, path: str, version: str, report: str) -> RowJson:
    if record["schema"] != SCHEMA or record["verdict"] not in _VERDICTS:
        raise ValueError(record["schema"])
    notebooks: list[Any] = record["notebooks"]
    statuses = [_text(notebook["status"]) for notebook in notebooks]
    tests = [(_whole(each["passed"]), _whole(each["total"])) for each in record["tests"]]
    counted = [
        (passed, total) for passed, total in tests if passed is not None and total is not None
    ]
    peaks = [peak for each in notebooks if (peak := _whole(each["gpu_peak"])) is not None]
    return {
        **unreadable(path, version, ""),
        "id": _text(record["identity"]["id"]),
        "title": _text(record["title"]),
        "verdict": record["verdict"],
        "cause": _cause(record["cause"]),
        "started": _time(record["started"]),
        "duration_ms": _whole(record["duration_ms"]),
        **_commit(record),
        "notebooks": list(_notebooks(record["verdict"], notebooks))
        or _not_run(record["verdict"], _text(record["title"])),
        "tests_passed": sum(passed for passed, _ in counted) if counted else None,
        "tests_total": sum(total for _, total in counted) if counted else None,
        "gpu": _gpu(record["environment"]["gpus"]),
        "gpu_peak": max(peaks, default=None),
        "gpu_utilisation": _utilisation(notebooks),
        "flaky": statuses.count("flaky"),
        "reused": statuses.count("reused"),
        "regressions": len((record["comparison"] or {}).get("regressions", ())),
        "report": report,
    }


def _commit(record: Any) -> Any:
    """Return the commit of the first notebook, or of a run whose checkouts were all made."""
    repositories = record["repositories"]
    places = [_whole(each.get("repository")) for each in record["notebooks"]]
    place = next((place for place in places if place is not None), None)
    if place is None and record["not_run"] == [] and all(r["commit"] for r in repositories):
        place = 0
    if place is None or place >= len(repositories):
        return {"commit": "", "commit_url": ""}
    repository: Any = {name: _text(repositories[place][name]) for name in ("url", "commit")}
    return {"commit": repository["commit"], "commit_url": commit_url(repository)}


def _not_run(verdict: str, title: str) -> list[NotebookRowJson]:
    """Return the notebook that ``title`` names, of a run that ended before it."""
    if PurePosixPath(title).suffix != _SUFFIX:
        return []
    status = _STATUS.get(verdict, verdict)
    name = PurePosixPath(title).stem
    return [{"name": name, "path": title, "variant": "", "status": status, "duration_ms": None}]


def _notebooks(verdict: str, notebooks: list[Any]) -> Iterator[NotebookRowJson]:
    for notebook in notebooks[:_MOST_NOTEBOOKS]:
        status = _text(notebook["status"])
        if len(notebooks) == 1 and status not in {"flaky", "reused"}:
            status = _STATUS.get(verdict, verdict)
        yield {
            "name": _text(notebook["name"]),
            "path": _text(notebook.get("in_repository") or notebook["name"]),
            "variant": _text(notebook["variant"]),
            "status": status,
            "duration_ms": _whole(notebook["duration_ms"]),
        }


def _cause(cause: Mapping[str, Any] | None) -> str:
    if not cause:
        return ""
    text = _text(f"{cause['step']}: {cause['message']}", _MOST_CAUSE * 2)
    if len(text) <= _MOST_CAUSE:
        return text
    cut = text[: _MOST_CAUSE - 1]
    words = cut[: cut.rfind(" ")] if " " in cut[_MOST_CAUSE // 2 :] else cut
    return f"{words}\u2026"


def _gpu(gpus: list[Any]) -> str:
    names = [_text(gpu.get("name")) for gpu in gpus]
    kinds = dict.fromkeys(names)
    return ", ".join(f"{names.count(n)} x {n}" if names.count(n) > 1 else n for n in kinds)


def _utilisation(notebooks: list[Any]) -> float | None:
    """Return the mean utilisation of all GPUs, each as long as its notebook ran."""
    weighted, seconds = 0.0, 0.0
    for notebook in notebooks:
        length = _whole(notebook["duration_ms"]) or 0
        for device in (notebook["gpu"] or {}).get("devices") or ():
            mean = device.get("utilisation_mean")
            if isinstance(mean, int | float) and 0 <= mean <= 100:  # noqa: PLR2004 - percent
                weighted += mean * length
                seconds += length
    return round(weighted / seconds, 1) if seconds else None


def _time(text: Any) -> str | None:
    """Return an ISO-8601 time in UTC, None for what is not a time."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    try:
        return found.astimezone(UTC).isoformat(timespec="milliseconds")
    except OverflowError:
        return None


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _LARGEST_NUMBER else None


def _text(value: Any, most: int = _MOST_TEXT) -> str:
    """Return a text in one line; lone surrogates, which no encoding has, are replaced."""
    text = shorten(value, most) if isinstance(value, str) else ""
    return " ".join(text.encode(errors="replace").decode().split())
