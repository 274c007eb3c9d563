import os
from pathlib import Path

import pytest
from samples import names

from stepkit.errors import ToolError
from stepkit.system import removal


def test_removes_odd_names_deep_trees_and_links_alike(tmp_path: Path) -> None:
    place = tmp_path / "place"
    deep = place
    for _ in range(40):
        deep /= "d" * 60
    deep.mkdir(parents=True)
    (deep / "file").touch()
    handle = os.open(place, os.O_RDONLY)
    try:
        for name in (b"a\nb", b"\xff\xfe", b"n" * 255):
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=handle))
    finally:
        os.close(handle)
    (place / "gone").symlink_to("nowhere")
    (place / "out").symlink_to(tmp_path)
    os.mkfifo(place / "pipe")

    removal.remove(place)

    assert list(tmp_path.iterdir()) == []


def test_removes_a_file_and_a_link_itself(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    (tmp_path / "link").symlink_to("kept")
    (tmp_path / "file").touch()

    for name in ("link", "file", "missing"):
        removal.remove(tmp_path / name)

    assert names(tmp_path) == ["kept"]
    assert names(tmp_path / "kept") == ["file"]


def test_a_directory_that_is_filled_meanwhile_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(removal, "_try_removal", lambda *_: [])

    with pytest.raises(ToolError, match=r"^cannot remove all of .*run: something is written into"):
        removal.remove(tmp_path / "run")


def test_measures_blocks_and_the_newest_change(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "a").write_bytes(bytes(100_000))
    os.link(run / "a", run / "b")  # both go
    for path, moment in ((run / "a", 2_000), (run, 1_000)):
        os.utime(path, (moment, moment))

    measured = removal.measure(run)

    assert measured.changed == 2_000
    assert 100_000 <= measured.size < 150_000
