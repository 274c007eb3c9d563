import os
import threading
from pathlib import Path

import pytest

from stepkit.errors import ConfigurationError
from stepkit.system import locks


def test_a_held_lock_is_seen_and_not_acquired(tmp_path: Path) -> None:
    path = tmp_path / "new/lock"

    with locks.locked(path):
        assert locks.is_held(path)
        with pytest.raises(BlockingIOError):
            locks.acquire(path, wait=False)

    assert not locks.is_held(path)
    os.close(locks.acquire(path, wait=False))


def test_a_directory_is_locked_without_a_file_in_it(tmp_path: Path) -> None:
    lock = locks.acquire(tmp_path, create=False)

    assert locks.is_held(tmp_path)
    os.close(lock)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_file_that_its_holder_removed_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = locks.acquire(path)
    acquired: list[int] = []
    thread = threading.Thread(target=lambda: acquired.append(locks.acquire(path)))
    thread.start()

    path.unlink()
    os.close(first)
    thread.join(20)

    assert os.path.samestat(os.fstat(acquired[0]), path.stat())
    os.close(acquired[0])


def test_a_lock_that_cannot_be_tried_counts_as_held(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")

    assert locks.is_held(tmp_path / "link")
    assert not locks.is_held(tmp_path / "missing")
    with (
        pytest.raises(ConfigurationError, match=r"cannot lock .*symbolic links"),
        locks.locked(tmp_path / "link"),
    ):
        pass
