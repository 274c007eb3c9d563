from pathlib import Path

import pytest
from cluster.fake_cluster import FakeCluster, healthy


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    """A healthy cluster, behind a kubectl that is first on the PATH."""
    made = FakeCluster(tmp_path / "cluster")
    healthy(made)
    monkeypatch.setenv("PATH", f"{made.bin}:/usr/bin:/bin")
    return made
