"""A reader that opens a notebook again and again while somebody writes it."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks import tally
from benchmarks.tally import Tally

_PAUSE_SECONDS: Final = 0.001


@dataclass
class Poller:
    """Read ``path`` as often as it changes until :meth:`stop`, and keep what was seen.

    ``reads`` counts attempts that found a file, ``contents`` different contents, ``torn`` those
    that were no whole JSON, ``older`` says when a content lacked what an earlier one had.
    ``newest`` is the last whole content's tally.
    """

    path: Path
    reads: int = 0
    contents: int = 0
    torn: int = 0
    torn_reads: int = 0
    older: str = ""
    newest: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._last: bytes | None = None
        self._last_torn = False
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def start(self) -> Poller:
        """Begin to read."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Read no more; what was being read is finished first."""
        self._stop.set()
        self._thread.join()

    def _poll(self) -> None:
        while not self._stop.is_set():
            try:
                data = self.path.read_bytes()
            except OSError:
                data = None
            if data is not None:
                self._see(data)
            time.sleep(_PAUSE_SECONDS)

    def _see(self, data: bytes) -> None:
        self.reads += 1
        if data != self._last:
            self._last = data
            self.contents += 1
            self._last_torn = not self._whole(data)
            self.torn += self._last_torn
        self.torn_reads += self._last_torn

    def _whole(self, data: bytes) -> bool:
        try:
            found = tally.of_notebook(json.loads(data))
        except (ValueError, KeyError, TypeError):
            return False
        self.older = self.older or self.newest.lacks(found)
        self.newest = found
        return True
