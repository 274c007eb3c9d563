"""Things that many tests are made of: a git repository, a notebook."""

import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat


class Origin:
    """A git repository to clone from, with real commits."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = path.as_uri()
        self.git("init", "--initial-branch=main", str(path), cwd=path.parent)

    @property
    def head(self) -> str:
        """The commit that is checked out."""
        return self.git("rev-parse", "HEAD")

    def git(self, *args: str, cwd: Path | None = None, input: str | None = None) -> str:  # noqa: A002
        identity = ("-c", "user.name=test", "-c", "user.email=test@example.com")
        command = ["git", *identity, *args]
        done = subprocess.run(
            command, cwd=cwd or self.path, check=True, capture_output=True, text=True, input=input
        )
        return done.stdout.strip()

    def commit(self, content: str, name: str = "file.txt") -> str:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(content)
        self.git("add", ".")
        self.git("commit", "-m", content)
        return self.head


def names(directory: Path, *, locks: bool = True) -> list[str]:
    """Return the names of what is in ``directory``, sorted; lock files are left out on request."""
    found = sorted(path.name for path in directory.iterdir())
    return [name for name in found if locks or not name.endswith(".lock")]


def fill_disk(path: Path) -> None:
    """Write to a file until its disk has not one byte left."""
    with path.open("wb", buffering=0) as file:
        for size in (65536, 1):
            with suppress(OSError):
                while file.write(b"x" * size) == size:
                    pass


def write_notebook(
    path: Path,
    *sources: str,
    tags: Mapping[int, list[str]] | None = None,
    metadata: dict[str, Any] | None = None,
) -> Path:
    """Write a notebook of code cells for the python3 kernel; ``tags`` go by cell number from 0."""
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nb = nbformat.v4.new_notebook(metadata={"kernelspec": spec} if metadata is None else metadata)
    for number, source in enumerate(sources):
        cell = nbformat.v4.new_code_cell(source, id=f"cell-{number}")
        cell.metadata["tags"] = (tags or {}).get(number, [])
        nb.cells.append(cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, path)
    return path
