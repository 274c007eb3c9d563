"""Find the records of runs below a directory: each run.json, and that of each variant."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

RECORD: Final = re.compile(r"run(_[\w.-]+)?\.json")  # of the file's name

_DEEPEST: Final = 5  # directories below the first one: team/notebook/run/artifacts
# What holds no runs but many files: environments, caches and checkouts.
_LEFT_OUT: Final = {"node_modules", "site-packages", "__pycache__"}


def find_runs(directory: Path) -> Iterator[Path]:
    """Yield the path of each record, in no order; links and hidden directories are left out.

    A directory below that cannot be read is named in the log. Raises
    :class:`~stepkit.errors.StepError` when ``directory`` itself cannot be read.
    """
    with atomic_files.explaining(f"cannot read {directory}"):
        os.close(os.open(directory, os.O_RDONLY | os.O_DIRECTORY))
    for folder, folders, names in os.walk(directory, onerror=_left_out):
        depth = len(Path(folder).relative_to(directory).parts)
        folders[:] = [
            name
            for name in folders
            if depth < _DEEPEST and not name.startswith(".") and name not in _LEFT_OUT
        ]
        for name in names:
            path = Path(folder, name)
            if RECORD.fullmatch(name) and not path.is_symlink():
                yield path


def _left_out(error: OSError) -> None:
    logger.warning("cannot read %s: %s: its runs are left out", error.filename, error.strerror)
