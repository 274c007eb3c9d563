"""What ``stepkit --help`` prints: all commands in a line each, and the exit codes.

It is made without argparse, and imports little: nothing is looked at as often.
"""

from __future__ import annotations

import os
import textwrap
from typing import TYPE_CHECKING, Final

import stepkit
from stepkit.cli import commands, terminal
from stepkit.steps import MODULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_OPTIONS: Final = """\
options:
  -h, --help  show this help message and exit
  --version   print the version; with --json, also the commit and the base image
"""
_END: Final = """\
exit codes:
  0    done
  1    a bug in stepkit; the traceback says where
  2    the options, or what they point at, are wrong
  3    the notebook or a test failed, or a check found a defect
  4    a tool, the network or the machine gave up: a second try may help
  129  stopped by SIGHUP, a closed terminal; what was done so far is saved
  130  stopped by Ctrl-C (SIGINT); what was done so far is saved
  143  stopped by SIGTERM; what was done so far is saved

An empty value (--flag=) means "not given". `stepkit COMMAND -h` shows the options of one command
that are needed most, `stepkit COMMAND --help` and `stepkit help COMMAND` all of them.
"""


def is_asked_for(words: Sequence[str]) -> bool:
    """Return whether a command line asks for the overview and nothing else."""
    return list(words) in (["--help"], ["-h"], ["help"])


def text() -> str:
    """Return the overview, as wide as the terminal."""
    parts = (
        "usage: stepkit [-h] [--version] COMMAND ...\n",
        f"{stepkit.__doc__}\n",
        _OPTIONS,
        f"steps:\n{_list(MODULES)}\n",
        f"other commands:\n{_list(commands.MODULES)}\n",
        _END,
    )
    return "\n".join(parts)


def show() -> int:
    """Print the overview on stdout, and return the exit code."""
    try:
        print(text(), end="", flush=True)  # noqa: T201
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python complains of the rest at its exit
    return 0


def _list(names: Iterable[str]) -> str:
    """Return a line for each command; a long one goes on below its text."""
    width = min(max(terminal.columns() - 2, 42), 102)
    summaries = {f"    {name:<20} ": commands.COMMANDS.summary(name) for name in names}
    return "\n".join(
        textwrap.fill(summary, width, initial_indent=begin, subsequent_indent=" " * len(begin))
        for begin, summary in summaries.items()
    )
