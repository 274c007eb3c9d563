"""What is sent of a directory on a volume that others can write to."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stepkit.artifacts import manifest
from stepkit.artifacts.directory import Directory, Stored
from stepkit.artifacts.publisher import Publisher
from stepkit.errors import ToolError


class Destination(Directory):
    """A directory; ``meanwhile`` happens when it is asked for a file."""

    meanwhile: Callable[[], object]

    def find(self, key: str) -> Stored | None:
        self.meanwhile()
        return super().find(key)


@pytest.mark.parametrize("exchanged", ["figures/a.txt", "figures", "."])
def test_no_file_is_sent_that_a_link_leads_to(tmp_path: Path, exchanged: str) -> None:
    artifacts, secret, site = tmp_path / "run/artifacts", tmp_path / "secret", tmp_path / "site"
    for directory in (artifacts / "figures", secret / "figures", site):
        directory.mkdir(parents=True)
    (artifacts / "figures/a.txt").write_text("done")
    (secret / "figures/a.txt").write_text("s3cret")
    destination = Destination(site)

    def exchange() -> None:
        (artifacts / exchanged).rename(tmp_path / "away")
        (artifacts / exchanged).symlink_to(secret / exchanged)
        destination.meanwhile = lambda: None

    destination.meanwhile = exchange
    publisher = Publisher(
        destination=destination, directory=artifacts, prefix="", attempts=1, verify_content=True
    )
    artifact = manifest.describe(artifacts / "figures/a.txt", artifacts)
    assert publisher.unsent([artifact], overwrite=False) == [artifact]

    with pytest.raises(ToolError, match="txt was exchanged for a link"):
        publisher.send(artifact)

    assert not (site / "figures").exists()
