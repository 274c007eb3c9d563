"""Where an index is kept: what it needs of a directory or of object storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from stepkit.errors import StepError


class Listed(Protocol):
    """A file: ``size`` is in bytes, ``version`` changes with its content."""

    @property
    def size(self) -> int:
        """Its size in bytes."""

    @property
    def version(self) -> str:
        """A text that is another one after each change."""


class Store(Protocol):
    """Files by key, such as ``run-7/run.json``, of which each has a version.

    All methods raise :class:`~stepkit.errors.StepError`.
    """

    def location(self, key: str) -> str:
        """Return the path or URL of ``key``, for messages."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Keep others out as far as the store can; where it cannot, ``replace`` finds them."""

    def listing(self) -> Mapping[str, Listed]:
        """Return the files, or at least each run.json and the pages beside it."""

    def version(self, key: str) -> str | None:
        """Return the version of ``key``, None if there is none."""

    def contents(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes | StepError]]:
        """Yield each of ``keys`` with its content, or why it cannot be read."""

    def replace(self, key: str, content: bytes, media_type: str, *, version: str | None) -> bool:
        """Write ``key`` whole if it is still at ``version``, None for one that is not there.

        Returns False, and writes nothing, if it is not.
        """
