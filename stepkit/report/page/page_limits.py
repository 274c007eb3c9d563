"""How much a page shows: the worst of long lists, and the beginning of long texts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from stepkit.formats.shorten import shorten

_Entry = TypeVar("_Entry")

# What a reader looks for first, by the status of a cell, a notebook, a test or a step.
_WORST_FIRST: Final = (
    *("failed", "error", "stopped", "cancelled", "tolerated", "flaky", "expected-error"),
    *("ok", "passed", "succeeded", "reused", "not-run", "not-asked-for", "skipped"),
)


@dataclass(frozen=True, kw_only=True)
class Detail:
    """The most entries of a list, characters of a text, pixels of a lane, and bytes of the data."""

    rows: int
    text: int
    columns: int
    data: int


# The next one is for a page that is too large with the one before.
LEVELS: Final = (
    Detail(rows=500, text=20_000, columns=600, data=120_000),
    Detail(rows=200, text=4_000, columns=200, data=0),
    Detail(rows=40, text=600, columns=60, data=0),
)


@dataclass(kw_only=True)
class Shortener:
    """Shortens parts of a record, and counts what it left out."""

    detail: Detail
    left_out: Counter[str] = field(default_factory=Counter)

    def shorten(self, value: Any, name: str = "") -> Any:
        """Return ``value`` with at most so many entries and characters; ``name`` is its key."""
        if name == "images":
            self._count(name, 0 if self.detail.data else len(value))
            return value if self.detail.data else []
        if isinstance(value, str):
            if len(value) > self.detail.text:
                self.left_out["long texts"] += 1
            return shorten(value, self.detail.text)
        if isinstance(value, dict):
            kept = dict(list(value.items())[: self.detail.rows])
            self._count(name, len(value) - len(kept))
            return {key: self.shorten(entry, key) for key, entry in kept.items()}
        if isinstance(value, list):
            return [self.shorten(entry, name) for entry in self.cut(value, name)]
        return value

    def cut(self, entries: list[_Entry], name: str) -> list[_Entry]:
        """Return the worst of ``entries``."""
        kept = worst(entries, self.detail.rows)
        self._count(name, len(entries) - len(kept))
        return kept

    def _count(self, name: str, count: int) -> None:
        if count:
            self.left_out[name.replace("_", " ")] += count

    def note(self) -> str:
        """Say what was left out, as ``312 cells, 4 long texts``; ``""`` if nothing was."""
        return ", ".join(f"{count} {name}" for name, count in self.left_out.items())


def worst(entries: list[_Entry], most: int) -> list[_Entry]:
    """Return at most ``most`` entries in their order; those that failed stay."""
    if len(entries) <= most:
        return entries
    statuses = [e.get("status", "") if isinstance(e, dict) else "" for e in entries]
    ranked = sorted(range(len(entries)), key=lambda n: rank(statuses[n]))
    return [entries[n] for n in sorted(ranked[:most])]


def rank(status: Any) -> int:
    """Return the place of a status of a cell, a notebook, a test or a step: 0 is the worst."""
    return _WORST_FIRST.index(status) if status in _WORST_FIRST else len(_WORST_FIRST)
