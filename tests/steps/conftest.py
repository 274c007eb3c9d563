"""Fixtures of the tests of download-dataset."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from data_server import DataServer, serving
from download_places import CONTENT, Place


@pytest.fixture
def server() -> Iterator[DataServer]:
    """Serve :data:`CONTENT` under every path."""
    with serving(CONTENT) as server:
        yield server


@pytest.fixture
def place(tmp_path: Path, server: DataServer) -> Place:
    """Name a directory, and a cache, that do not exist yet."""
    return Place(tmp_path, server)
