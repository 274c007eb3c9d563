"""File systems that lack what others have."""

import errno
import fcntl
import os
from typing import Any

import pytest


def without_nameless_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse O_TMPFILE, as NFS does."""
    really = os.open

    def refused(path: Any, flags: int, *more: Any, **options: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return really(path, flags, *more, **options)

    monkeypatch.setattr(os, "open", refused)


def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse flock(2), as NFS without its lock service does."""

    def refused(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
