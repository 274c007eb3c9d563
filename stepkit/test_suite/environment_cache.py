"""The cache of test environments, kept for later runs and shared between processes.

    CACHE/CACHEDIR.TAG    asks backup programs to leave the directory out
    CACHE/KEY/            an environment, and in it the list of its files with their SHA-256
    CACHE/KEY.lock        held (flock) while the environment is checked, made or removed
    CACHE/KEY.used        held shared while tests run in it; its mtime is when it was last used

KEY is a digest of all that the environment was made from. An environment is used only if each of
its files is as it was when it was complete; otherwise it is made again, unless tests run in it.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from stepkit.errors import StepError
from stepkit.system import atomic_files, cache_directory, locks, removal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)

FILES: Final = "stepkit-files.json"  # in a complete environment
_CONTENT: Final = "stepkit run-tests keeps the environments of tests here"
Made = TypeVar("Made")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One environment of a cache; ``used`` is when a run last needed it, in seconds since 1970."""

    path: Path
    used: float

    @property
    def lock(self) -> Path:
        """The file that is locked while the environment is checked, made or removed."""
        return self.path.with_name(f"{self.path.name}.lock")

    @property
    def mark(self) -> Path:
        """The file that is locked while the environment is used."""
        return self.path.with_name(f"{self.path.name}.used")


@contextmanager
def using(environment: Path, make: Callable[[Path], Made]) -> Iterator[Made | None]:
    """Yield what ``make`` returns for ``environment``, CACHE/KEY, which stays during the block.

    ``make`` gets the environment's path and makes it unless it is complete; its errors pass. One
    process at a time makes it, and the others wait. Yields None where the cache cannot be used: it
    cannot be written, or the environment is damaged while other tests run in it. The log says why.
    """
    entry = Entry(path=environment, used=0.0)
    with ExitStack() as use:
        made = None
        with ExitStack() as making:
            if _claim(entry, making, use):
                made = make(entry.path)
                if not (entry.path / FILES).is_file():
                    text = json.dumps(_read(entry.path), indent=0)
                    atomic_files.write_atomically(entry.path / FILES, text)
                with suppress(OSError):  # another user's
                    os.utime(entry.mark)
        yield made


def _claim(entry: Entry, making: ExitStack, use: ExitStack) -> bool:
    """Lock an environment for the two stacks, and remove it if it is not as it was made.

    Returns whether it can be made and used.
    """
    try:
        cache_directory.prepare(entry.path.parent, _CONTENT)
        with atomic_files.explaining(f"cannot lock {entry.lock}"):
            making.callback(os.close, locks.acquire_for_group(entry.lock))
        if not _is_intact(entry) and not _clear(entry):
            return False
        with atomic_files.explaining(f"cannot lock {entry.mark}"):
            use.callback(os.close, locks.acquire_for_group(entry.mark, shared=True))
    except StepError as error:
        logger.warning("the cache of environments is not used: %s", error)
        return False
    return True


def entries(cache: Path) -> Iterator[Entry]:
    """Yield the environments of ``cache``, unfinished ones too; none where there is no cache.

    Raises :class:`stepkit.errors.StepError` when the directory cannot be read.
    """
    for key in cache_directory.keys(cache):
        yield Entry(path=cache / key, used=_last_use(cache / key))


def remove(entry: Entry) -> bool:
    """Remove an environment unless a process holds it or has used it since it was listed.

    Returns whether it was removed. Raises :class:`stepkit.errors.StepError` when it cannot be.
    """
    with (
        atomic_files.explaining(f"cannot remove {entry.path} from the cache"),
        suppress(BlockingIOError),
        ExitStack() as held,
    ):
        held.callback(os.close, locks.acquire_for_group(entry.lock, wait=False))
        held.callback(os.close, locks.acquire_for_group(entry.mark, wait=False))
        if _last_use(entry.path) > entry.used:
            return False
        removal.remove(entry.path)
        entry.mark.unlink(missing_ok=True)
        entry.lock.unlink(missing_ok=True)
        return True
    return False


def _last_use(path: Path) -> float:
    for suffix in (".used", ".lock", ""):
        with suppress(OSError):
            return path.with_name(f"{path.name}{suffix}").lstat().st_mtime
    return 0.0


def _is_intact(entry: Entry) -> bool:
    """Return whether every file of the environment is as it was when it was complete."""
    try:
        listed: dict[str, str] = dict(json.loads(atomic_files.read(entry.path / FILES)))
        found = _read(entry.path)
    except (StepError, OSError, ValueError, TypeError, RecursionError) as error:
        if os.path.lexists(entry.path):
            logger.warning("the environment %s is not complete: %s", entry.path, error)
        return False
    added = [name for name in found if name not in listed and "__pycache__" not in name]
    changed = [name for name, digest in listed.items() if found.get(name) != digest]
    if names := sorted({*added, *changed}):
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        logger.warning("the environment %s is damaged: %s%s changed", entry.path, names[0], more)
    return not names


def _clear(entry: Entry) -> bool:
    """Remove what is left of an environment, so that it can be made; False while it is used."""
    with (
        atomic_files.explaining(f"cannot lock {entry.mark}"),
        suppress(BlockingIOError),
        ExitStack() as held,
    ):
        held.callback(os.close, locks.acquire_for_group(entry.mark, wait=False))
        removal.remove(entry.path)
        return True
    logger.warning("the cache of environments is not used: other tests run in %s", entry.path)
    return False


def _read(environment: Path) -> dict[str, str]:
    """Return the SHA-256 of each file, and the target of each link, by its path."""
    found = {}
    for folder, folders, names in os.walk(environment):
        for name in [*names, *folders]:
            path = Path(folder, name)
            shown = str(path.relative_to(environment))
            if path.is_symlink():
                found[shown] = f"link to {path.readlink()}"
            elif path.is_file() and shown != FILES:
                found[shown] = atomic_files.sha256(path)
    return found
