import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
import run_records

from stepkit.report.page import timeline_file


def write(path: Path, document: Any) -> Path:
    path.write_bytes(gzip.compress(json.dumps(document).encode()))
    return path


def test_a_timeline_is_read_by_its_path_beside_the_record(tmp_path: Path) -> None:
    timeline = run_records.timeline(2, 40)
    write(tmp_path / "a.timeline.json.gz", timeline)

    assert timeline_file.beside(tmp_path)("a.timeline.json.gz") == timeline


BAD: dict[str, dict[str, Any]] = {
    "of another schema": {"schema": "stepkit.timeline/9"},
    "without seconds": {"seconds": None},
    "with text among seconds": {"seconds": ["0"] * 40},
    "whose time runs back": {"seconds": list(range(40, 0, -1))},
    "with a column too short": {"columns": {"rss": [1]}},
    "with a word in a column": {"columns": {"rss": ["much"] * 40}},
    "with infinity": {"columns": {"rss": [float("inf")] * 40}},
    "with a truth in a column": {"columns": {"rss": [True] * 40}},
    "whose devices are no mappings": {"devices": ["GPU"]},
    "with a thousand devices": {"devices": [{}] * 1000},
    "whose errors of the driver are no list": {"xids": 79},
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_not_a_timeline_is_none(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "x", {**run_records.timeline(1, 40), **BAD[name]})

    assert timeline_file.read(path) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        gzip.compress(b"[", mtime=0),
        gzip.compress(b"[" * 100_000, mtime=0),
        gzip.compress(b'{"a":1}', mtime=0)[:-9],
    ],
    ids=["empty", "not packed", "torn JSON", "nested", "torn"],
)
def test_a_torn_file_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)

    assert timeline_file.read(tmp_path / "x") is None


def test_a_file_that_unpacks_to_gigabytes_is_none(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(gzip.compress(b" " * (65 << 20), 1))

    assert timeline_file.read(tmp_path / "x") is None


def test_what_is_no_file_is_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert timeline_file.read(tmp_path / "pipe") is None
    assert timeline_file.read(tmp_path) is None
    assert timeline_file.read(tmp_path / "missing\x00") is None
