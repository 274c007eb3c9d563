"""What a test of a reader needs: the function, real inputs, and a strategy for further ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fuzz import inputs
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Reader:
    """``read`` gets the path of a file called ``name``, alone in its directory.

    ``raises`` are what its callers handle, beside a StepError. One with a ``cost`` takes so many
    times as long as most, and is tried so much less often.
    """

    read: Callable[[Path], object]
    seeds: Sequence[bytes]
    of: Callable[[Sequence[bytes]], st.SearchStrategy[bytes]] = inputs.any_json
    name: str = "a.json"
    raises: tuple[type[BaseException], ...] = ()
    cost: int = 1

    @property
    def inputs(self) -> st.SearchStrategy[bytes]:
        """Return the strategy for inputs."""
        return self.of(self.seeds)


def files(*patterns: str) -> list[bytes]:
    """Return the content of files of this repository."""
    found = [path.read_bytes() for pattern in patterns for path in sorted(ROOT.glob(pattern))]
    assert len(found) >= len(patterns)
    return found


def text(path: Path) -> str:
    """Return a file as the text that a program gives us, of which any byte may be wrong."""
    return path.read_text("utf-8", "surrogateescape")
