"""Archives are unpacked once and replaced as a whole; other files are kept."""

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from data_server import DataServer
from download_places import SHA256, Place

from stepkit.steps.download_dataset import WORK

pytestmark = pytest.mark.usefixtures("no_waiting")


def zipped(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/"), text)
    return buffer.getvalue()


class Archive(Place):
    """A place for the files of an archive."""

    def holding(self, **members: str) -> dict[str, Any]:
        self.server.content = zipped(**members)
        self.server.etag = f'"{len(self.server.requests)}"'
        sha256 = hashlib.sha256(self.server.content).hexdigest()
        return {"url": f"{self.server.url}/atlas.zip", "sha256": sha256, "unpack": "auto"}


@pytest.fixture
def archive(tmp_path: Path, server: DataServer) -> Archive:
    return Archive(tmp_path, server)


def test_an_archive_is_unpacked_once(archive: Archive) -> None:
    entry = archive.holding(a="one", sub__b="two")

    outputs = archive.run(entry)
    made = (archive.directory / "atlas").stat().st_ino
    (archive.directory / "atlas/result.txt").write_text("the notebook's")

    assert outputs.datasets[0].unpacked
    assert (archive.directory / "atlas/sub/b").read_text() == "two"
    again = archive.run(entry)
    assert again.datasets[0].came == "kept"
    assert (again.digest, again.datasets[0].size) == (outputs.digest, outputs.datasets[0].size)
    assert (archive.directory / "atlas").stat().st_ino == made
    assert len(archive.server.requests) == 1


def test_another_archive_replaces_the_older_one(archive: Archive) -> None:
    archive.run(archive.holding(a="one", old="x"))
    archive.run(archive.holding(a="two"))

    names = sorted(path.name for path in (archive.directory / "atlas").iterdir())
    assert names == [".stepkit-dataset.json", "a"]
    assert sorted(path.name for path in archive.directory.iterdir()) == [WORK, "atlas"]


@pytest.mark.parametrize("change", ["added", "edited"])
def test_changed_files_of_an_older_archive_are_kept_as_a_backup(
    archive: Archive, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    archive.run(archive.holding(a="one"))
    name = "a" if change == "edited" else "mine"
    (archive.directory / "atlas" / name).write_text("my work")

    archive.run(archive.holding(a="two"))

    (backup,) = archive.directory.glob("atlas.backup-*")
    assert (backup / name).read_text() == "my work"
    assert (archive.directory / "atlas/a").read_text() == "two"
    assert f"kept as {backup}" in caplog.text


def test_a_missing_file_is_unpacked_again(archive: Archive) -> None:
    entry = archive.holding(a="one", b="two")
    archive.run(entry)
    (archive.directory / "atlas/b").unlink()

    assert archive.run(entry).datasets[0].came == "cache"
    assert (archive.directory / "atlas/b").read_text() == "two"


def test_a_directory_without_a_marker_is_not_replaced(archive: Archive) -> None:
    (archive.directory / "atlas").mkdir(parents=True)
    (archive.directory / "atlas/mine").write_text("x")

    assert "not replacing them" in archive.refused(archive.holding(a="one"))
    assert archive.server.requests == []


def test_a_file_that_is_not_an_archive_is_refused(archive: Archive) -> None:
    entry = {"url": f"{archive.server.url}/census.bin", "sha256": SHA256, "unpack": True}

    assert "census.bin: this is not a tar or zip file" in archive.refused(entry)
    assert not (archive.directory / "census.bin").exists()


def test_without_a_cache_the_archive_itself_is_not_kept(archive: Archive) -> None:
    archive.run(archive.holding(a="one"), cache=())

    assert archive.left() == [".stepkit-dataset.json", "a"]
