"""Watch a notebook while it runs: its cells, time, GPU and memory, and what it printed last.

RUN is the executed notebook (--output of execute-notebook), NAME.progress.json beside it, or a
directory in which one of both is, such as that of a run of run-local. Of several, the notebook that
began last is shown. A terminal gets a page that is drawn again every second; a file or a pipe gets
a line for each cell that begins or ends. It ends with the run. After Ctrl-C, the run goes on.

For example:

    stepkit watch out/analysis.ipynb
    stepkit watch work/run-20261130-101500 --exit-code
    stepkit watch out --wait 1m --json-lines
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from stepkit.errors import (
    Cancelled,
    ConfigurationError,
    Reason,
    StepError,
    ToolError,
    UserCodeError,
)
from stepkit.options import DETAIL, DURATION, POSITIONAL, PRINTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepkit.cli.liveness import Liveness
    from stepkit.notebook.progress_json import ProgressJson

_POLL_SECONDS: Final = 1.0
_SIGNALS: Final = 128  # the exit code of a run that a signal ended, without its number


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which run to watch, and how."""

    run: Annotated[
        Path, "executed notebook, NAME.progress.json or a directory with one", POSITIONAL
    ]
    wait: Annotated[float, "time to wait for a run that has yet to begin", DURATION] = 0.0
    exit_code: Annotated[bool, "exit like the run that is watched"] = False
    json_lines: Annotated[bool, "print each state of NAME.progress.json as a line"] = False


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The run at its end."""

    text: Annotated[str, "the last page or line", PRINTED]
    progress: Annotated[Mapping[str, Any], "the last state of NAME.progress.json", DETAIL]


def run(options: Options) -> Outputs:
    """Show the run until it ends.

    Raises :class:`~stepkit.errors.ConfigurationError` if there is none, and
    :class:`~stepkit.errors.ToolError` if its process is gone; with ``--exit-code``, what the run
    ended with.
    """
    from stepkit.cli.watch_screen import screen

    shown = screen(json_lines=options.json_lines)
    try:
        path = _find(options.run, options.wait)
        now = _follow(path, shown.show)
    except Cancelled as stop:
        shown.leave()
        message = "watching was stopped; the run goes on"
        raise Cancelled(stop.signum, message=message) from None
    outputs = Outputs(text=shown.last(now), progress=now)
    if options.exit_code:
        _exit_like(now, outputs)
    return outputs


def _find(run: Path, wait: float) -> Path:
    """Return the file that tells of the run; wait for one that runs if that is asked for."""
    from stepkit.notebook import progress_json

    until = time.monotonic() + wait
    while (left := until - time.monotonic()) > 0:
        try:
            if progress_json.is_running(path := progress_json.find(run)):
                return path
        except ConfigurationError as error:
            if error.reason != Reason.NOT_FOUND:
                raise
        time.sleep(min(_POLL_SECONDS, left))
    return progress_json.find(run)


def _follow(path: Path, show: Callable[[ProgressJson, str], None]) -> ProgressJson:
    """Show each state until the last one, which is returned."""
    from stepkit.cli.liveness import Liveness
    from stepkit.notebook import progress_json

    liveness = Liveness()
    while True:
        gone = liveness.is_gone()  # asked first: a process writes the end before it is gone
        now = progress_json.load(path)
        liveness.saw(now)
        show(now, "" if now["ending"] else liveness.note())
        if now["ending"]:
            return now
        if gone:
            raise _gone(now, liveness)
        time.sleep(_POLL_SECONDS)


def _gone(now: ProgressJson, liveness: Liveness) -> ToolError:
    """Return the error for a run that does not go on; another machine's may only be silent."""
    from stepkit.system import process_identity

    cell = f" in {now['cell']['name']}" if now["cell"] else ""
    if process_identity.is_gone(now["process"]):
        message = f"the run ended{cell} without saying how: {liveness.note()}; its notebook has "
        return ToolError(f"{message}what was saved until then", reason=Reason.KILLED)
    return ToolError(
        f"the run is silent{cell}: {liveness.note()}; it was killed, or this file is a copy"
    )


def _exit_like(now: ProgressJson, outputs: Outputs) -> None:
    """Raise the error with which the run ended, if it failed."""
    ending = now["ending"]
    if not ending or not ending["exit_code"]:
        return
    code, message = ending["exit_code"], ending["message"]
    if ending["status"] == "cancelled":
        raise Cancelled(code - _SIGNALS, outputs=outputs, message=message)
    kinds: dict[int, type[StepError]] = {2: ConfigurationError, 3: UserCodeError}
    reason = Reason(ending["reason"]) if ending["reason"] in set(Reason) else None
    raise kinds.get(code, ToolError)(message, reason=reason, outputs=outputs)
