"""Read the run that another one is compared with: from a file, a directory or a web address."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urljoin

from stepkit.errors import ConfigurationError, Reason, StepError
from stepkit.http import safe_urls
from stepkit.http.get import Source, get, refusal
from stepkit.report import compare_notebooks, find_runs, load_run, web_links
from stepkit.report.index import index_row, runs_json
from stepkit.report.run_json import RunJson
from stepkit.report.steps_of_run import GOOD
from stepkit.system.retry import retrying

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger(__name__)

_LARGEST: Final = 50 << 20  # bytes of a run.json
_SECONDS: Final = 120.0  # for all that is downloaded
_STALL: Final = 20.0
_ATTEMPTS: Final = 3
_MOST_EARLIER: Final = 20  # runs that the limits come from
_MOST_DOWNLOADED: Final = 10
_MOST_READ: Final = 60  # records of a directory, the latest ones
_OK: Final = 200


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A run, where it was read, without a secret, and the ``earlier`` ones beside it."""

    run: RunJson
    source: str
    earlier: tuple[RunJson, ...] = ()


def read(where: str, run: RunJson | None = None) -> Baseline:
    """Return the baseline that ``where`` names: run.json, a directory, or an http(s) URL.

    In a directory of many runs, or a runs.json, it is the latest one that passed, began before
    ``run``, and ran one of its notebooks. Raises :class:`~stepkit.errors.StepError` when it cannot
    be read.
    """
    if where.startswith(("https://", "http://")):
        until = time.monotonic() + _SECONDS
        content = retrying(_ATTEMPTS)(_download, where, until)
        if rows := _rows(content):
            return _of_index(where, rows, run, until)
        source = safe_urls.masked(where)
        return Baseline(run=load_run.parse_run(content, source), source=source)
    path = Path(where)
    if "://" in where:
        raise ConfigurationError(
            f"cannot read a baseline from {where.partition('://')[0]}://: "
            "name a file, a directory or an https:// address"
        )
    try:
        return Baseline(run=load_run.load_run(path), source=where)
    except ConfigurationError as error:
        if error.reason != Reason.NOT_FOUND or not path.is_dir():
            raise
    return _latest(path, run)


def _download(url: str, until: float) -> bytes:
    answer = get(Source(url), {}, stall=_STALL, until=until)
    try:
        if answer.status != _OK:
            raise refusal(answer)
        content = b""
        for chunk in answer.chunks():
            content += chunk
            if len(content) > _LARGEST:
                shown = f"{safe_urls.masked(url)} has more than {_LARGEST >> 20} MiB"
                raise ConfigurationError(f"{shown}: it is not run.json")
        return content
    finally:
        answer.close()


def _latest(directory: Path, run: RunJson | None) -> Baseline:
    found: dict[Any, tuple[str, str, RunJson]] = {}  # a run may be published beside its workspace
    paths = sorted(find_runs.find_runs(directory), key=_modified, reverse=True)
    for path in paths[:_MOST_READ]:
        try:
            other = load_run.load_run(path)
        except StepError as error:
            logger.warning("left out: %s", error)
            continue
        if _is_earlier(other, run):
            key = other["started"], other["identity"]["id"]
            found.setdefault(key, (other["started"] or "", str(path), other))
    if not found:
        raise _no_run(str(directory), len(paths))
    (_, source, latest), *rest = sorted(found.values(), key=lambda each: each[:2], reverse=True)
    earlier = tuple(other for _, _, other in rest[:_MOST_EARLIER])
    return Baseline(run=latest, source=source, earlier=earlier)


def _rows(content: bytes) -> list[Any]:
    """Return the rows of a runs.json, none if it is something else."""
    if runs_json.SCHEMA.encode() not in content:
        return []
    try:
        found = json.loads(content)
        is_index = found["schema"] == runs_json.SCHEMA
        return [row for row in found["runs"] if index_row.is_row(row)] if is_index else []
    except (ValueError, RecursionError, TypeError, KeyError):
        return []


def _of_index(url: str, rows: Sequence[Any], run: RunJson | None, until: float) -> Baseline:
    """Download the latest runs that can be compared with ``run``: the first is the baseline."""
    names = {notebook["name"] for notebook in run["notebooks"]} if run else set()
    fitting = [
        row["path"]
        for row in rows
        if row["verdict"] in GOOD
        and (not run or names & {notebook["name"] for notebook in row["notebooks"]})
        and web_links.is_inside(row["path"])
    ]
    found: list[tuple[RunJson, str]] = []
    for path in fitting:
        address = urljoin(url, quote(path))
        shown = safe_urls.masked(address)
        try:
            content = retrying(_ATTEMPTS)(_download, address, until)
            other = load_run.parse_run(content, shown)
        except StepError as error:
            logger.warning("left out: %s", error)
            continue
        if _is_earlier(other, run):
            found.append((other, shown))
        if len(found) > _MOST_DOWNLOADED:
            break
    if not found:
        raise _no_run(safe_urls.masked(url), len(rows))
    (first, source), *rest = found
    return Baseline(run=first, source=source, earlier=tuple(other for other, _ in rest))


def _no_run(where: str, count: int) -> ConfigurationError:
    return ConfigurationError(
        f"there is no earlier run in {where} that passed and ran the same notebook: "
        f"{count} records were found",
        reason=Reason.NOT_FOUND,
    )


def _is_earlier(other: RunJson, run: RunJson | None) -> bool:
    if other["verdict"] not in GOOD:
        return False
    if run is None:
        return True
    if run["started"] and (other["started"] or "") >= run["started"]:
        return False
    return any(compare_notebooks.find_pairs(run, other))


def _modified(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0
