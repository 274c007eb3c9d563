"""Where the tests of the engine save notebooks."""

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """Yield where to save; nothing else may be left beside it."""
    (tmp_path / "out").mkdir()
    target = tmp_path / "out/executed.ipynb"
    yield target
    assert [path.name for path in target.parent.iterdir()] in ([target.name], [])
