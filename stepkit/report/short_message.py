"""A run in a few lines of plain text, for a chat, an e-mail or a commit: the verdict first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from stepkit.formats.durations import elapsed
from stepkit.formats.shorten import shorten
from stepkit.report import earlier_run
from stepkit.report.unchecked_values import line as one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.report.run_json import RunJson
    from stepkit.report.run_json_notebook import ErrorJson, NotebookJson

_MOST_CAUSE: Final = 400  # characters
_MOST_LINE: Final = 200  # characters of a line of evidence
_MOST_NOTEBOOKS: Final = 10
_LAST_PRINTED: Final = 3  # lines
_COMMIT: Final = 12  # characters
_PASSED: Final = {"passed", "tolerated", "reused"}
_ADDRESSES: Final = re.compile(r"([@<])(?=[\w!@#])")  # @channel, <!here>: they would call people


@dataclass(frozen=True, kw_only=True)
class Message:
    """``title`` is one line with the verdict in it, ``body`` one or more."""

    title: str
    body: str


def render(run: RunJson, *, link: str) -> Message:
    """Return how ``run`` ended: cause and evidence, notebooks, tests, time, commit and ``link``.

    Text from reports cannot mention a person or a channel.
    """
    title = f"{_plain(run['title'])}: {run['headline']}"
    lines = [cause(run), *evidence(run), *facts(run), link]
    return Message(title=title, body="\n".join(line for line in lines if line))


def facts(run: RunJson) -> list[str]:
    """Return a line for each notebook and test suite, then time and commits, and earlier runs."""
    lines = list(_notebooks(run))
    for tests in run["tests"]:
        counted = tests["total"] is not None
        count = f"{tests['passed']} of {tests['total']} passed" if counted else "totals unknown"
        lines.append(f"tests: {count}")
    lines.append(_when_and_what(run))
    again = ((step["name"], step["earlier"]) for step in run["steps"])
    lines += [_plain(earlier_run.sentence(name, before)) for name, before in again if before]
    return [line for line in lines if line]


def fields(run: RunJson) -> dict[str, Any]:
    """Return the same for a machine: what a web hook gets beside the text."""
    found = run["cause"]
    error = found["error"] if found else None
    return {
        "reason": found["reason"] if found else "",
        "exit_code": found["exit_code"] if found else 0,
        "ename": error["ename"] if error else "",
        "evalue": shorten(error["evalue"], _MOST_CAUSE) if error else "",
        "evidence": evidence(run),
        "started": run["started"],
        "duration_ms": run["duration_ms"],
        "repositories": [
            {name: repository[name] for name in ("url", "revision", "commit")}
            for repository in run["repositories"]
        ],
        "notebooks": [
            {name: notebook[name] for name in ("name", "status", "cells_run", "cells_total")}
            for notebook in run["notebooks"]
        ],
        "tests": [
            {name: tests[name] for name in ("total", "passed", "failed", "coverage")}
            for tests in run["tests"]
        ],
    }


def cause(run: RunJson) -> str:
    """Say in one line why the run did not pass: ``""`` when it did."""
    if found := run["cause"]:
        line = f"{found['step']} {found['status']} ({found['reason']}): {found['message']}"
    elif run["not_run"]:
        line = f"not run: {', '.join(run['not_run'])}"
    else:
        line = "" if run["steps"] else "there are no reports: nothing ran"
    return shorten(_plain(line), _MOST_CAUSE)


def evidence(run: RunJson) -> list[str]:
    """Return the lines of the evidence that say most, without those that the cause has."""
    error = run["cause"] and run["cause"]["error"]
    if not error:
        return []
    said = cause(run)
    lines = (shorten(_plain(line), _MOST_LINE) for line in _telling(error))
    return [line for line in dict.fromkeys(lines) if line and line.removeprefix("> ") not in said]


def _telling(error: ErrorJson) -> Iterator[str]:
    """Yield the line that failed, the exception, or without both what was printed last."""
    lines = error["source"].split("\n")
    if error["line"] is not None and 1 <= error["line"] <= len(lines):
        yield f"> {lines[error['line'] - 1].strip()}"
    if error["ename"]:
        first = error["evalue"].strip().partition("\n")[0]
        yield f"{error['ename']}: {first}" if first else error["ename"]
    else:
        yield from error["output"][-_LAST_PRINTED:]


def _notebooks(run: RunJson) -> Iterator[str]:
    notebooks = run["notebooks"]
    if len(notebooks) == 1:
        one = notebooks[0]
        how = f"flaky: {_plain(one['message'])}" if one["status"] == "flaky" else _cells(one)
        yield f"{_name(one)}: {how}"
    if len(notebooks) <= 1:
        return
    passed = sum(notebook["status"] in _PASSED for notebook in notebooks)
    yield f"{passed} of {len(notebooks)} notebooks passed"
    others = [notebook for notebook in notebooks if notebook["status"] not in _PASSED]
    for notebook in others[:_MOST_NOTEBOOKS]:
        status = notebook["status"].replace("-", " ")
        yield shorten(f"{_name(notebook)} {status}: {_plain(notebook['message'])}", _MOST_LINE)
    if len(others) > _MOST_NOTEBOOKS:
        yield f"and {len(others) - _MOST_NOTEBOOKS} more"


def _name(notebook: NotebookJson) -> str:
    variant = f" [{notebook['variant']}]" if notebook["variant"] else ""
    return _plain((PurePosixPath(notebook["path"]).name or notebook["name"]) + variant)


def _cells(notebook: NotebookJson) -> str:
    if notebook["cells_total"] is None:
        return "cells unknown"
    return f"{notebook['cells_run']} of {notebook['cells_total']} cells ran"


def _when_and_what(run: RunJson) -> str:
    """Return how long the run took, and of which commits."""
    took = f"took {elapsed(run['duration_ms'] / 1000)}" if run["duration_ms"] else ""
    commits = (
        f"{one['commit'][:_COMMIT]} of {one['url']}".removesuffix(" of ")
        for one in run["repositories"]
        if one["commit"]
    )
    return _plain(", ".join(part for part in (took, *commits) if part))


def _plain(text: str) -> str:
    return _ADDRESSES.sub("\\1\u200b", one_line(text))
