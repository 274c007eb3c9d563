"""Keep NAME.progress.json beside the output while a notebook runs: what `stepkit watch` shows.

A thread writes it, whole or not at all, every second and when a cell begins or ends, as often as
its share of the time allows. A file that cannot be written does not end the run.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeVar

from stepkit.engine.last_printed import LastPrinted
from stepkit.errors import Cancelled, Reason, StepError
from stepkit.formats.plain_text import plain
from stepkit.notebook import progress_json
from stepkit.redaction import redact
from stepkit.system import atomic_files, cgroup, process_identity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stepkit.engine.cell_events import RunState
    from stepkit.notebook.progress_json import (
        EndedCellJson,
        EndingJson,
        ProgressJson,
        ReadingsJson,
        RunningCellJson,
    )
    from stepkit.notebook.verdict import CellRun

logger = logging.getLogger(__name__)

_EVERY_SECONDS: Final = 1.0
_SHARE: Final = 0.004  # of a core that writing may take
_LEAST_PAUSE: Final = 0.1  # seconds between two writes, however little they cost
_LONGEST_PAUSE: Final = 2.0  # whatever they cost: the thread may have collected garbage of others


class Outputs(Protocol):
    """What this module needs of a step's outputs."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def status(self) -> str:
        """How it ended, in one word."""

    @property
    def message(self) -> str:
        """How it ended, in one sentence."""


T = TypeVar("T", bound=Outputs)


class ProgressFile:
    """The file of the run that writes ``notebook`` to ``output``, perhaps in several attempts."""

    def __init__(self, output: Path, notebook: Path) -> None:
        self.printed = LastPrinted()
        self._path = progress_json.beside(output.absolute())
        self._output = output.name
        self._notebook = notebook
        self._process = process_identity.own()
        self._memory_limit = cgroup.memory_limit()
        self._readings: Callable[[], ReadingsJson] | None = None
        self._state: RunState | None = None
        self._attempt = 0
        self._zero = ""  # when the first attempt began, also on the monotonic clock
        self._clock = 0.0
        self._encoded: dict[int, tuple[CellRun, str]] = {}  # the cells that ended, as JSON
        self._ending: EndingJson | None = None
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._failed = False
        self._thread = threading.Thread(target=self._work, name="progress", daemon=True)

    def around(self, run: Callable[[ProgressFile], T]) -> T:
        """Call ``run`` with this file, and write how it ended.

        The file is there from the first attempt on; if none begins, that of an earlier run is
        removed. Raises what ``run`` raises.
        """
        try:
            outputs = run(self)
        except StepError as error:
            self._end("failed", error.reason, error.exit_code, str(error))
            raise
        except Cancelled as stop:
            self._end("cancelled", Reason.CANCELLED, stop.exit_code, str(stop))
            raise
        except BaseException as error:
            self._end("failed", Reason.BUG, 1, f"a bug in stepkit: {error!r}")
            raise
        self._end(outputs.status, Reason.OK, 0, outputs.message)
        return outputs

    def sample_with(self, readings: Callable[[], ReadingsJson]) -> None:
        """Ask ``readings``, in another thread, for the memory and the GPUs of the run."""
        self._readings = readings

    def begin(self, state: RunState) -> None:
        """Tell of the attempt that begins now, until the next one or the end."""
        if self._state is None:
            self._zero = state.zero.isoformat(timespec="milliseconds")
            self._clock = state.started
        self._attempt += 1
        self._state, self._encoded = state, {}
        self.changed()
        if not self._thread.is_alive():
            with suppress(RuntimeError):  # the container allows no more threads
                self._thread.start()

    def changed(self) -> None:
        """Note that a cell began or ended."""
        self._wake.set()

    def _end(self, status: str, reason: Reason, exit_code: int, message: str) -> None:
        if self._state is None:
            if progress_json.is_progress(self._path):
                with suppress(OSError):
                    self._path.unlink()
            return
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._ending = {
            "status": status,
            "reason": reason,
            "exit_code": exit_code,
            "message": _plain(message),
        }
        self._write()

    def _work(self) -> None:
        allowed = 0.0
        while not self._stop.is_set():
            self._wake.wait(_EVERY_SECONDS)
            if self._stop.wait(max(allowed - time.monotonic(), 0)):
                return
            self._wake.clear()
            before = time.thread_time()
            self._write()
            cost = time.thread_time() - before
            pause = min(max(cost / _SHARE, _LEAST_PAUSE), _LONGEST_PAUSE)
            allowed = time.monotonic() + pause

    def _write(self) -> None:
        try:
            atomic_files.write_atomically(self._path, self._text(), durable=False)
        except StepError as error:
            if not self._failed:
                logger.warning("no one can watch this run: %s", error)
            self._failed = True

    def _text(self) -> str:
        """Return the file; each cell that ended is encoded once."""
        assert self._state
        readings: ReadingsJson = {"rss": None, "gpus": []}
        if self._readings and not self._ending:
            readings = self._readings()
        now: ProgressJson = {
            "schema": progress_json.SCHEMA,
            "notebook": _plain(str(self._notebook)),
            "output": self._output,
            "process": self._process,
            "started": self._zero,
            "written": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "seconds": round(time.monotonic() - self._clock, 3),
            "attempt": self._attempt,
            "cells_total": len(self._state.plan),
            "memory_limit": self._memory_limit,
            **readings,
            "lines": self.printed.lines(),
            "cell": self._running(self._state),
            "ending": self._ending,
            "cells": [],
        }
        begin = json.dumps(now).removesuffix("[]}")
        return f"{begin}[{', '.join(self._ended(self._state))}]}}\n"

    def _running(self, state: RunState) -> RunningCellJson | None:
        index, clock = state.running, state.clock
        if index is None or self._ending:
            return None
        run = state.plan[index]
        return {
            "name": state.place(index),
            "number": run.number,
            "title": _plain(run.title),
            "began": round(clock - self._clock, 3),
            "seconds": round(max(time.monotonic() - clock, 0), 3),
        }

    def _ended(self, state: RunState) -> list[str]:
        texts = []
        for index, run in tuple(state.plan.items()):
            if run.seconds is None or run.began is None:
                continue
            known = self._encoded.get(index)
            if not known or known[0] is not run:
                cell: EndedCellJson = {
                    "number": run.number,
                    "title": _plain(run.title),
                    "status": run.status,
                    "began": round(run.began + state.started - self._clock, 3),
                    "seconds": run.seconds,
                }
                known = self._encoded[index] = (run, json.dumps(cell))
            texts.append(known[1])
        return texts


def _plain(text: str) -> str:
    return plain(redact(text))
