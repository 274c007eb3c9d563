"""Limit the outputs of a cell in the notebook: what is cut goes to files beside it."""

from __future__ import annotations

import json
from io import StringIO
from typing import IO, TYPE_CHECKING, Any

from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class OutputLimit:
    """Keeps ``limit`` bytes of one cell's outputs in the notebook, and the rest in ``directory``.

    A text file holds all that the cell printed, a JSON file each other output that was left out;
    they are named after ``cell``. Nothing is written for a cell within the limit.
    """

    def __init__(self, limit: int, directory: Path, cell: str) -> None:
        self._limit = limit
        self._directory = directory
        self._cell = cell
        self._used = 0
        self._printed = StringIO()  # until it is too much, also after the cell's end
        self._all_text: Path | None = None
        self._text: IO[str] | None = None
        self._files = 0

    @staticmethod
    def remove_files(directory: Path) -> None:
        """Remove the files of an earlier run, which would be taken for this run's."""
        with atomic_files.explaining(f"cannot empty {directory}"):
            for path in directory.glob("cell-*"):
                path.unlink()

    def cut(self, text: str) -> str:
        """Return the part of ``text`` that the notebook keeps.

        Raises :class:`~stepkit.errors.StepError` when the rest cannot be written.
        """
        if self._all_text:
            self._write(self._all_text, text)
            return ""
        self._printed.write(text)
        if self._used + len(text) <= self._limit:
            self._used += len(text)
            return text
        kept = text[: self._limit - self._used]
        self._used = self._limit
        self._all_text = self._path(".txt")
        self._write(self._all_text, self._printed.getvalue())
        self._printed = StringIO()
        return kept + self._note(self._all_text)

    def note_if_beyond(self, data: Mapping[str, Any], *, replaces: bool = False) -> str:
        """Return the note in place of an output beyond the limit, "" for one within it.

        An output that ``replaces`` another one, as those of a progress bar do, counts alone.
        """
        size = sum(len(v) if isinstance(v, str) else len(json.dumps(v)) for v in data.values())
        if (0 if replaces else self._used) + size <= self._limit:
            self._used += 0 if replaces else size
            return ""
        self._files += 1
        path = self._path(f"-output-{self._files}.json")
        atomic_files.write_atomically(path, json.dumps(data, ensure_ascii=False), durable=False)
        return self._note(path)

    def end(self) -> None:
        """Close the cell's file; it is opened again if the cell prints more.

        Raises :class:`~stepkit.errors.StepError` on a full disk.
        """
        text, self._text = self._text, None
        if text:
            with atomic_files.explaining(f"cannot write {text.name}"):
                text.close()

    def _write(self, path: Path, text: str) -> None:
        with atomic_files.explaining(f"cannot write {path}"):
            if not self._text:
                self._text = path.open("a", errors="surrogatepass")
            self._text.write(text)

    def _path(self, ending: str) -> Path:
        with atomic_files.explaining(f"cannot make {self._directory}"):
            self._directory.mkdir(parents=True, exist_ok=True)
        return self._directory / f"cell-{self._cell}{ending}"

    def _note(self, path: Path) -> str:
        where = f"{path.parent.name}/{path.name}"
        return f"\n[stepkit: cut after {self._limit:,} bytes of outputs; the whole is in {where}]\n"
