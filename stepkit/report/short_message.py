"""A run in a few lines of plain text, for a chat, an e-mail or a commit: the verdict first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from stepkit.formats.shorten import shorten
from stepkit.report.markdown_escape import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.report.run_record import Entry, Run

_MOST_CAUSE: Final = 400  # characters
_MOST_NOTEBOOKS: Final = 10
_ADDRESSES: Final = re.compile(r"([@<])(?=[\w!@#])")  # @channel, <!here>: they would call people


@dataclass(frozen=True, kw_only=True)
class Message:
    """``title`` is one line with the verdict in it, ``body`` one or more."""

    title: str
    body: str


def render(run: Run, *, link: str) -> Message:
    """Say how ``run`` ended: cause, notebooks, tests and ``link``; foreign text calls nobody."""
    lines = [cause(run), *_notebooks(run), *map(_tests, run.tests), link]
    title = f"{_plain(run.title)}: {run.headline}"
    return Message(title=title, body="\n".join(line for line in lines if line))


def cause(run: Run) -> str:
    """Say in one line why the run did not pass: ``""`` when it did."""
    if entry := run.cause:
        told = f"{entry.name} {entry.status} ({entry.reason}): {entry.message}"
        return shorten(_plain(told), _MOST_CAUSE)
    if missing := [entry.name for entry in run.entries if entry.status == "not run"]:
        return shorten(_plain(f"not run: {', '.join(missing)}"), _MOST_CAUSE)
    return "" if run.entries else "there are no reports: nothing ran"


def _notebooks(run: Run) -> Iterator[str]:
    for entry in run.of_step("execute-notebooks"):
        good = sum(item["status"] in {"passed", "tolerated"} for item in entry.notebooks)
        yield f"{good} of {len(entry.notebooks)} notebooks passed"
    own = run.of_step("execute-notebook")
    for entry in own[:_MOST_NOTEBOOKS]:
        ran, total = entry.output("cells-run"), entry.output("cells-total")
        count = "cells unknown" if total is None else f"{ran} of {total} cells ran"
        yield f"{_name(entry)}: {count}"
    if len(own) > _MOST_NOTEBOOKS:
        yield f"and {len(own) - _MOST_NOTEBOOKS} more notebooks"


def _tests(entry: Entry) -> str:
    total = entry.output("total")
    if total is None:
        return "tests: totals unknown"
    return f"tests: {entry.output('passed')} of {total} passed"


def _name(entry: Entry) -> str:
    options = entry.data.get("options")
    path = options.get("notebook") if isinstance(options, dict) else None
    return _plain(PurePath(path).name if isinstance(path, str) else entry.name)


def _plain(text: str) -> str:
    return _ADDRESSES.sub("\\1\u200b", one_line(text))
