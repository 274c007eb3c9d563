"""Show a run on the terminal: what report.html shows, as text.

The run is its run.json, or a directory with it, such as that of the run. Of a notebook with many
cells those that are slow or did not end well are shown; --all shows the rest.

For example:

    stepkit show work/run-20261130-101500
    stepkit show out/run.json --all
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from stepkit.options import DETAIL, POSITIONAL, PRINTED

_COLUMNS: Final = 100  # of a file or a pipe
_LEAST_COLUMNS: Final = 60


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which run to show."""

    run: Annotated[Path, "run.json, or a directory with it", POSITIONAL]
    all: Annotated[bool, "show every cell of every notebook"] = False


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The run."""

    text: Annotated[str, "the run as text", PRINTED]
    record: Annotated[Mapping[str, Any], "the content of run.json", DETAIL]


def run(options: Options) -> Outputs:
    """Read the run; raise :class:`~stepkit.errors.ConfigurationError` if that is impossible."""
    import shutil
    import sys

    from stepkit.cli import terminal
    from stepkit.report.load_run import load_run
    from stepkit.report.terminal.paint import Paint
    from stepkit.report.terminal.run_page import run_page

    record = load_run(options.run)
    encoding = sys.stdout.encoding if sys.stdout else ""
    paint = Paint(
        width=max(shutil.get_terminal_size((_COLUMNS, 24)).columns, _LEAST_COLUMNS),
        colour=terminal.has_colours(sys.stdout),
        unicode=encoding.lower().startswith("utf"),
    )
    return Outputs(text=run_page(record, paint, every=options.all), record=record)
