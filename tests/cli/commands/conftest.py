from collections.abc import Iterator
from pathlib import Path

import api_server
import pytest
from api_server import ApiServer
from certificates import make_authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An authority, and the certificate of a server that it signed."""
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def cluster(tmp_path: Path, authority: tuple[Path, Path]) -> Iterator[ApiServer]:
    """The API server of a cluster; tmp_path has the account of a pod."""
    with api_server.serving(tmp_path, *authority) as state:
        yield state
