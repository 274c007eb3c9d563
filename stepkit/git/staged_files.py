"""Remember which files a step copied into a checkout: they do not count as changes of a user."""

from __future__ import annotations

import json
import logging
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from stepkit.errors import StepError
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterable

logger = logging.getLogger(__name__)

RECORD: Final = "stepkit-staged.json"  # in .git

_DELETED: Final = " D"  # in the work tree, by git status --porcelain


def record(checkout: Path, directory: str, names: Iterable[str]) -> None:
    """Note that a step emptied ``directory`` of ``checkout`` and copied the files ``names`` there.

    Nothing is noted in a directory that is not a git checkout.
    """
    repository, place = checkout / ".git", PurePosixPath(directory)
    if repository.is_symlink() or not repository.is_dir():
        return
    files = {name: atomic_files.sha256(checkout / place / name) for name in names}
    try:
        content = json.dumps({**_read(checkout), str(place): files})
        atomic_files.write_atomically(repository / RECORD, content)
    except StepError as error:
        logger.warning("the next git-clone will keep %s as changed: %s", checkout, error)


def is_as_staged(checkout: Path, status: str, name: str) -> bool:
    """Return whether a step made the change of ``name`` that git status shows as ``status``.

    The step copied that content there, or removed a file when it emptied the directory, which the
    commit still has.
    """
    for directory, files in _read(checkout).items():
        inside = PurePosixPath(name)
        if not inside.is_relative_to(directory):
            continue
        path = checkout / name
        if status == _DELETED:
            return True
        sha256 = files.get(str(inside.relative_to(directory)))
        if sha256 and path.is_file() and not path.is_symlink():
            return atomic_files.sha256(path) == sha256
    return False


def _read(checkout: Path) -> dict[str, dict[str, str]]:
    try:
        found = json.loads((checkout / ".git" / RECORD).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    valid = isinstance(found, dict) and all(isinstance(files, dict) for files in found.values())
    return found if valid else {}
