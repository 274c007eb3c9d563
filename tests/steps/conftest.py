"""Fixtures of the tests of download-dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from data_server import DataServer, serving
from download_places import CONTENT, Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server() -> Iterator[DataServer]:
    """Serve :data:`CONTENT` under every path."""
    with serving(CONTENT) as server:
        yield server


@pytest.fixture
def place(tmp_path: Path, server: DataServer) -> Place:
    """Name a directory, and a cache, that do not exist yet."""
    return Place(tmp_path, server)
