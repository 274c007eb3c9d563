from pathlib import Path

import commands
import pytest

from stepkit.system import mounts

TABLE = """\
22 27 0:21 / / rw,relatime - ext4 /dev/vda rw
23 22 0:22 / /data rw shared:1 master:2 - xfs /dev/vdb rw
24 22 0:22 / /data rw - nfs4 server:/x rw
25 22 0:23 / /data/a\\040b\\303\\244 rw - tmpfs tmpfs rw
"""


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(TABLE)
    monkeypatch.setattr(mounts, "_TABLE", path)
    return tmp_path


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("path", "kind"),
    [("/data/run", "nfs4"), ("/data/a bä/x", "tmpfs"), ("/databank", "ext4"), ("/", "ext4")],
)
def test_the_longest_and_latest_mount_counts(path: str, kind: str) -> None:
    assert mounts.file_system(Path(path)) == kind


@pytest.mark.usefixtures("table")
def test_finds_what_is_mounted_inside() -> None:
    directory = Path("/data")

    assert [str(path) for path in mounts.inside(directory)] == ["/data", "/data", "/data/a bä"]
    assert mounts.inside(directory / "a") == []


def test_without_mountinfo_all_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "_TABLE", tmp_path / "missing")

    assert mounts.file_system(tmp_path) == ""
    assert mounts.inside(tmp_path) == []


def test_a_mount_point_with_blanks_in_its_name_is_found(tmp_path: Path) -> None:
    place = tmp_path / "a b\n\\ä"
    place.mkdir()
    with commands.mounted(place, "--bind", place):
        assert mounts.inside(tmp_path) == [place]
