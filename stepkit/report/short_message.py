"""A run in a few lines of plain text, for a chat, an e-mail or a commit: the verdict first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from stepkit.formats.shorten import shorten
from stepkit.report import earlier_run
from stepkit.report.markdown_escape import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.report.steps_of_run import Run

_MOST_CAUSE: Final = 400  # characters
_MOST_NOTEBOOKS: Final = 10
_ADDRESSES: Final = re.compile(r"([@<])(?=[\w!@#])")  # @channel, <!here>: they would call people


@dataclass(frozen=True, kw_only=True)
class Message:
    """``title`` is one line with the verdict in it, ``body`` one or more."""

    title: str
    body: str


def render(run: Run, *, link: str) -> Message:
    """Return how ``run`` ended: cause, notebooks, tests and ``link``.

    Text from reports cannot mention a person or a channel.
    """
    lines = [cause(run), *_notebooks(run)]
    for entry in run.of_section("tests"):
        total = entry.output("total")
        count = "totals unknown" if total is None else f"{entry.output('passed')} of {total} passed"
        lines.append(f"tests: {count}")
    lines += [_plain(earlier_run.sentence(e.name, e.earlier)) for e in run.entries if e.earlier]
    title = f"{_plain(run.title)}: {run.headline}"
    return Message(title=title, body="\n".join(line for line in [*lines, link] if line))


def cause(run: Run) -> str:
    """Say in one line why the run did not pass: ``""`` when it did."""
    if entry := run.cause:
        line = f"{entry.name} {entry.status} ({entry.reason}): {entry.message}"
    elif run.not_run:
        line = f"not run: {', '.join(run.not_run)}"
    else:
        line = "" if run.entries else "there are no reports: nothing ran"
    return shorten(_plain(line), _MOST_CAUSE)


def _notebooks(run: Run) -> Iterator[str]:
    for entry in run.of_section("notebooks"):
        yield f"{entry.passed_notebooks} of {len(entry.notebooks)} notebooks passed"
    own = run.of_section("notebook")
    for entry in own[:_MOST_NOTEBOOKS]:
        ran, total = entry.output("cells-run"), entry.output("cells-total")
        count = "cells unknown" if total is None else f"{ran} of {total} cells ran"
        path = entry.option("notebook")
        name = PurePath(path).name if isinstance(path, str) else entry.name
        yield f"{_plain(name)}: {count}"
    if len(own) > _MOST_NOTEBOOKS:
        yield f"and {len(own) - _MOST_NOTEBOOKS} more notebooks"


def _plain(text: str) -> str:
    return _ADDRESSES.sub("\\1\u200b", one_line(text))
