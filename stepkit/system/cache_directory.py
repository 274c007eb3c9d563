"""The directory of a cache: the tag that asks backup programs to leave it out, and its keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stepkit.system import atomic_files, permissions, scratch

if TYPE_CHECKING:
    from pathlib import Path

TAG: Final = "CACHEDIR.TAG"  # https://bford.info/cachedir/, and so is its first line
_SIGNATURE: Final = "Signature: 8a477f597d28d172789f06886806bc55"
_KEY: Final = re.compile(r"[0-9a-f]{64}")


def prepare(cache: Path, content: str) -> None:
    """Create the directory and its tag; on a shared volume, for its whole group.

    ``content`` says in the tag what is in it. Raises :class:`stepkit.errors.StepError` when the
    directory cannot be written to.
    """
    permissions.make_open_as_above(cache)
    with permissions.explaining(cache, "cannot write in"), scratch.file(cache / "probe"):
        pass
    if not (cache / TAG).exists():
        text = f"{_SIGNATURE}\n# {content}; it can be removed at any time.\n"
        atomic_files.write_atomically(cache / TAG, text)


def keys(cache: Path) -> list[str]:
    """Return the keys of the entries of ``cache``, SHA-256 digests; none where there is no cache.

    All files whose names begin with a key and a point belong to its entry.
    Raises :class:`stepkit.errors.StepError` when the directory cannot be read.
    """
    if not cache.is_dir():
        return []
    with atomic_files.explaining(f"cannot read the cache {cache}"):
        names = {path.name.partition(".")[0] for path in cache.iterdir()}
    return sorted(filter(_KEY.fullmatch, names))
