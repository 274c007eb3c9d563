"""A file's checksums, also while it is still being written."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

import pytest

from stepkit.datasets import checksums
from stepkit.datasets.checksums import Checksums

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("begun", [b"", b"from an earlier attempt"])
def test_a_file_that_grows_is_read_to_its_end(tmp_path: Path, begun: bytes) -> None:
    path, pieces = tmp_path / "a.bin", [b"x" * 700_000, b"y", b"z" * 300_000]
    path.write_bytes(begun)

    with path.open("ab", 0) as file, checksums.growing(path, md5=True) as finish:
        for piece in pieces:
            file.write(piece)
        found = finish()

    content = begun + b"".join(pieces)
    assert found == Checksums(
        sha256=hashlib.sha256(content).hexdigest(), md5=hashlib.md5(content).hexdigest()
    )
    assert found.sha256 == Checksums.of(path, md5=False).sha256


def test_a_missing_file_is_an_error_where_the_result_is_wanted(tmp_path: Path) -> None:
    with checksums.growing(tmp_path / "gone", md5=False) as finish:  # noqa: SIM117
        with pytest.raises(FileNotFoundError):
            finish()


def test_no_thread_goes_on_after_a_failure(tmp_path: Path) -> None:
    (tmp_path / "a.bin").touch()
    before = threading.active_count()

    with pytest.raises(ZeroDivisionError), checksums.growing(tmp_path / "a.bin", md5=False):
        raise ZeroDivisionError

    assert threading.active_count() == before
