"""Read the results that a step wrote, whatever kind of files it left."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from stepkit.tekton.objects import Result
    from stepkit.tekton.yaml_documents import Value

_OVERHEAD: Final = 100  # bytes: what else Tekton writes beside the results


@dataclass
class Written:
    """The texts that were found, and why others could not be read."""

    texts: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    unread: int = 0  # bytes beyond the limit

    def size(self) -> int:
        """Return how many bytes Tekton needs for the results."""
        entries = [{"key": k, "value": v, "type": 1} for k, v in self.texts.items()]
        text = json.dumps(entries, ensure_ascii=False, separators=(",", ":"))
        return len(os.fsencode(text)) + self.unread + _OVERHEAD if entries else 0


def read(directory: Path, names: Iterable[str], limit: int) -> Written:
    """Read at most ``limit`` bytes, and one more, of each file in ``directory``.

    It never waits and never fails: a pipe would block for ever, a device has no end.
    """
    written = Written()
    for name in names:
        try:
            content, size = _read_file(directory / name, limit + 1)
        except (FileNotFoundError, IsADirectoryError):
            continue
        except OSError as error:
            written.problems[name] = error.strerror or str(error)
        else:
            written.texts[name] = os.fsdecode(content)
            written.unread += max(0, size - len(content))
    return written


def _read_file(path: Path, limit: int) -> tuple[bytes, int]:
    """Return the first ``limit`` bytes of a regular file, and its size."""
    if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():  # opening it may have effects
        raise OSError(f"{path.name} is not a regular file")
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):  # it was replaced meanwhile
            raise OSError(f"{path.name} is not a regular file")
        return file.read(limit), found.st_size


class InvalidResult(Exception):  # noqa: N818 - it is the Task's failure, not an error here
    """A result is not of the type that the Task declares."""


def fits(result: Result, text: str) -> bool:
    """Return whether ``text`` is a value that ``result`` may have."""
    try:
        value(result, text)
    except InvalidResult:
        return False
    return True


def value(result: Result, text: str) -> Value:
    """Return a result as the Task declares it. Raises :class:`InvalidResult`."""
    if result.type == "string":
        return text
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):  # the latter for [[[[...
        found = None
    wanted, entries = (
        (list, found) if result.type == "array" else (dict, getattr(found, "values", list)())
    )
    if not isinstance(found, wanted) or not all(isinstance(entry, str) for entry in entries):
        raise InvalidResult(f"the result {result.name} is not an {result.type} of strings in JSON")
    lacking = [key for key in result.keys if key not in found]
    if lacking:
        raise InvalidResult(f"the result {result.name} lacks the key {lacking[0]}")
    return found
