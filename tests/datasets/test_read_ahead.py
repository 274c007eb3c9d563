"""The content of a gzip file, decompressed in another thread."""

from __future__ import annotations

import gzip
import random
import threading
import zlib
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from stepkit.datasets.read_ahead import ReadAhead

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = random.Random(1).randbytes(6_000_000)


@pytest.fixture(scope="module")
def compressed() -> bytes:
    return gzip.compress(CONTENT, 0)


@pytest.fixture
def path(tmp_path: Path, compressed: bytes) -> Path:
    (tmp_path / "a.gz").write_bytes(compressed)
    return tmp_path / "a.gz"


def test_content_is_read_and_skipped_forwards(path: Path) -> None:
    with closing(ReadAhead(path)) as file:
        assert file.read(10) == CONTENT[:10]
        assert file.read(700_000) == CONTENT[10:700_010]
        assert file.seek(1_000_000) == file.tell() == 1_000_000
        assert file.read(8_000_000) == CONTENT[1_000_000:]
        assert file.read(1) == file.read(1) == b""
        assert file.seek(9_000_000) == len(CONTENT)
        with pytest.raises(ValueError, match="backwards"):
            file.seek(5)


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda content: content[:-20], EOFError),
        (lambda content: content[:-8] + b"12345678", gzip.BadGzipFile),
        (lambda content: content[:10] + b"\xff" * 50, zlib.error),
    ],
    ids=["truncated", "checksum", "deflate"],
)
def test_damage_is_raised_where_it_is_read(
    path: Path, compressed: bytes, damage: object, error: type[Exception]
) -> None:
    assert callable(damage)
    path.write_bytes(damage(compressed))

    with closing(ReadAhead(path)) as file:
        for _ in range(2):
            with pytest.raises(error):
                file.read(len(CONTENT) + 1)


def test_closing_ends_the_thread_before_the_end_of_the_file(path: Path) -> None:
    before = threading.active_count()

    with closing(ReadAhead(path)) as file:
        file.read(1)

    assert threading.active_count() == before
