"""The contents of a directory are all its files, and a link out of it is refused."""

import os
from pathlib import Path

import pytest

from stepkit.system import atomic_files, directory_contents
from stepkit.system.directory_contents import TooMuchError


def write(directory: Path, **files: str) -> None:
    for name, text in files.items():
        path = directory / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def digest(directory: Path) -> str:
    return directory_contents.digest(directory_contents.read(directory))


def test_two_directories_with_the_same_files_have_the_same_digest(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, one_txt="1", sub__two_txt="2")

    assert list(directory_contents.read(tmp_path / "a")) == ["one.txt", "sub/two.txt"]
    assert digest(tmp_path / "a") == digest(tmp_path / "b")


def test_a_text_a_name_and_a_mode_change_the_digest(tmp_path: Path) -> None:
    write(tmp_path, one_txt="1")
    found = [digest(tmp_path)]
    (tmp_path / "one.txt").write_text("2")
    found.append(digest(tmp_path))
    (tmp_path / "one.txt").rename(tmp_path / "two.txt")
    found.append(digest(tmp_path))
    (tmp_path / "two.txt").chmod(0o755)
    found.append(digest(tmp_path))
    (tmp_path / "link").symlink_to("two.txt")
    found.append(digest(tmp_path))

    assert len(set(found)) == 5


def test_git_caches_and_scratch_do_not_count(tmp_path: Path) -> None:
    write(tmp_path, one_txt="1")
    before = digest(tmp_path)

    write(tmp_path / ".git", HEAD="x")
    write(tmp_path / "sub/__pycache__", a_pyc="x")
    (tmp_path / ".one.txt.stepkit-0a1b2c3d").write_text("half")

    assert digest(tmp_path) == before


def test_only_files_with_a_suffix_count_if_one_is_given(tmp_path: Path) -> None:
    write(tmp_path, a_PNG="1", b_txt="2")

    assert list(directory_contents.read(tmp_path, suffixes={".png"})) == ["a.PNG"]


def test_the_file_behind_a_link_counts_and_a_directory_outside_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a", one_txt="1")
    write(tmp_path / "data", big_h5="x")
    (tmp_path / "a/big.h5").symlink_to(tmp_path / "data/big.h5")
    before = digest(tmp_path / "a")
    (tmp_path / "data/big.h5").write_text("y")
    assert digest(tmp_path / "a") != before

    (tmp_path / "a/data").symlink_to(tmp_path / "data")
    with pytest.raises(TooMuchError, match=r"a/data is a link to a directory outside of .*/a$"):
        directory_contents.read(tmp_path / "a")


def test_a_pipe_is_not_opened_and_a_broken_link_is_fine(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "broken").symlink_to("nowhere")

    found = directory_contents.read(tmp_path)

    assert {name: file.sha256 for name, file in found.items()} == {"broken": "", "pipe": ""}


def test_what_did_not_change_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, one_txt="1", two_txt="2")
    before = directory_contents.read(tmp_path)
    (tmp_path / "two.txt").write_text("22")
    read: list[str] = []
    real = atomic_files.sha256

    def noted(path: Path) -> str:
        read.append(path.name)
        return real(path)

    monkeypatch.setattr(atomic_files, "sha256", noted)

    after = directory_contents.read(tmp_path, before=before)

    assert read == ["two.txt"]
    assert after["one.txt"] == before["one.txt"]
    assert after["two.txt"] != before["two.txt"]


def test_a_directory_beyond_the_limits_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, one_txt="1", two_txt="2")
    with pytest.raises(TooMuchError, match=f"^{tmp_path} has more than 1 bytes of files to read$"):
        directory_contents.read(tmp_path, most=1)

    monkeypatch.setattr(directory_contents, "MOST_FILES", 1)
    with pytest.raises(TooMuchError, match=f"^{tmp_path} has more than 1 files$"):
        directory_contents.read(tmp_path)
