"""Where the tests of the engine save notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """Yield where to save; nothing else may be left beside it."""
    (tmp_path / "out").mkdir()
    target = tmp_path / "out/executed.ipynb"
    yield target
    assert [path.name for path in target.parent.iterdir()] in ([target.name], [])
