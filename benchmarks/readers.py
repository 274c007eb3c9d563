"""Does a reader of the output ever see half of it? Run alone: ``python -m benchmarks.readers``."""

import json
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from benchmarks import contents, figures, notebooks
from benchmarks.compare import runners
from benchmarks.contents import Contents
from benchmarks.figures import Proof

NAME: Final = "torn-reads"


class Reader(threading.Thread):
    """Reads ``path`` as often as it changes, in a ``with`` block, and keeps what was seen.

    ``reads`` counts attempts that found a file, ``contents`` different contents, ``torn`` those
    that were not whole JSON, ``older`` says when a content lacked what an earlier one had.
    ``newest`` is what the last whole content held.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.path = path
        self.reads = self.contents = self.torn = self.torn_reads = 0
        self.older = ""
        self.newest = Contents()
        self._stop_reading = threading.Event()

    def __enter__(self) -> Self:
        """Begin to read."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Read no more; what was being read is finished first."""
        self._stop_reading.set()
        self.join()

    def run(self) -> None:
        """Read until the block ends."""
        last, torn = None, False
        while not self._stop_reading.wait(0.001):
            try:
                data = self.path.read_bytes()
            except OSError:
                continue
            self.reads += 1
            if data != last:
                last, torn = data, not self._is_whole(data)
                self.torn += torn
                self.contents += 1
            self.torn_reads += torn

    def _is_whole(self, data: bytes) -> bool:
        try:
            found = contents.of_notebook(json.loads(data))
        except (ValueError, KeyError, TypeError):
            return False
        self.older = self.older or self.newest.lacks(found)
        self.newest = found
        return True


def prove(
    *, count: int = 60, size: int = notebooks.MB // 2, seconds: float = 0.25
) -> Iterator[Proof]:
    """Read while papermill and stepkit execute ``count`` cells that print ``size`` characters.

    ``seconds`` is how long each cell takes: the run is longer than stepkit's checkpoint interval.
    """
    with tempfile.TemporaryDirectory(prefix="stepkit-readers-") as scratch:
        notebook = Path(scratch, "in.ipynb")
        notebooks.paced(notebook, count, size, seconds)
        for runner in runners.EXECUTE:
            if runner.name not in {"papermill", "stepkit"}:
                continue
            directory = Path(scratch, runner.name)
            directory.mkdir()
            with Reader(directory / "out.ipynb") as reader:
                _, problem = runner.run(notebook, directory)
            if problem:
                raise RuntimeError(f"{runner.name}: {problem}")
            older = f"; older: {reader.older}" if reader.older else ""
            text = f"{reader.torn_reads} of {reader.reads} reads, {reader.torn} of "
            text += f"{reader.contents} contents were torn{older}"
            right = not reader.torn and not reader.older and reader.contents > 1
            ok = right if runner.name == "stepkit" else None
            numbers = {"reads": reader.reads, "torn": reader.torn_reads}
            numbers["contents"] = reader.contents
            yield Proof(NAME, runner.name, text, "none", ok, numbers)


if __name__ == "__main__":
    sys.exit(figures.print_proofs(prove()))
