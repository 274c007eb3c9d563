"""A step with planted secrets: its files, servers and command line, before it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from faults import planted
from faults.planted import Front, Mood, value
from object_storage_server import Storage


@dataclass
class Planted:
    """A step with secrets, ready to run in ``work``; ``private`` may hold them, ``work`` not.

    ``left`` are secrets that the step's children need, ``shown`` those that its user has written on
    the command line. ``command`` runs the step where that is not the command line.
    """

    work: Path
    private: Path
    mood: Mood
    storage: Storage
    stack: ExitStack
    secrets: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    args: list[str | Path] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    left: frozenset[str] = frozenset()
    shown: frozenset[str] = frozenset()
    front: Front | None = None

    def secret(self, name: str, *, variable: bool = False, ends: str = "") -> str:
        """Return the planted value of a secret; it may be a variable that ``ends`` in a newline."""
        self.secrets[name] = value(name)
        if variable:
            self.env[name] = value(name) + ends
        return value(name)

    def file(self, name: str, text: str) -> Path:
        path = self.private / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def mounted(self, **files: str) -> Path:
        """Return a directory of files as Kubernetes mounts a Secret: all names are links."""
        directory = self.private / "mounted"
        for name, text in files.items():
            self.file(f"mounted/..2026_11_30/{name.replace('__', '.')}", text)
            (directory / name.replace("__", ".")).symlink_to(f"..data/{name.replace('__', '.')}")
        (directory / "..data").symlink_to("..2026_11_30")
        return directory

    def before(self, url: str) -> str:
        """Put a front before a server, and return its address."""
        quoted = [line for text in self.secrets.values() for line in text.splitlines()]
        self.front = self.stack.enter_context(planted.front(url, self.mood, quoted))
        return self.front.url


Scenario = Callable[[Planted], None]
SCENARIOS: Final[dict[str, tuple[str, tuple[str, ...], Scenario]]] = {}


def scenario(step: str, *holds: str) -> Callable[[Scenario], Scenario]:
    """Register a scenario of ``step`` for the secrets that it takes: variables and options."""

    def register(function: Scenario) -> Scenario:
        name = function.__name__.replace("_", "-")
        SCENARIOS[name] = (step, holds, function)
        return function

    return register


@contextmanager
def prepared(
    name: str, directory: Path, mood: Mood, storage: Storage
) -> Iterator[tuple[str, Planted]]:
    """Yield the step of a scenario, and what is planted for it, with its servers running."""
    step, _, function = SCENARIOS[name]
    with ExitStack() as stack:
        work, private = directory / "work", directory / "private"
        ready = Planted(work, private, mood, storage, stack)
        for path in (work / "tmp", work / "home", private):
            path.mkdir(parents=True)
        ready.env = {"TMPDIR": str(work / "tmp"), "HOME": str(work / "home")}
        function(ready)
        yield step, ready
