"""Make the directory of a cache, with the tag that asks backup programs to leave it out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepkit.system import atomic_files, permissions, scratch

if TYPE_CHECKING:
    from pathlib import Path

TAG: Final = "CACHEDIR.TAG"  # https://bford.info/cachedir/, and so is its first line
_SIGNATURE: Final = "Signature: 8a477f597d28d172789f06886806bc55"


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
        atomic_files.write_atomically(cache / TAG, text, durable=False)
