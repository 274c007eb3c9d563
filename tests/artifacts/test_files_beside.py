"""Files that a notebook wrote beside itself are found by patterns and copied to files/."""

import logging
import os
import subprocess
from pathlib import Path

import pytest

from stepkit.artifacts import files_beside
from stepkit.artifacts.files_beside import Search
from stepkit.errors import ConfigurationError

NAMES = [
    *("umap.csv", "figures/a.png", "figures/b.svg", "figures/old/c.png", ".hidden.csv"),
    *("figures/.cache/d.png", ".git/e.csv", "__pycache__/f.csv", ".umap.csv.stepkit-a1b2c3d4"),
]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in NAMES:
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "source"


def names(directory: Path, *patterns: str) -> list[str]:
    return sorted(files_beside.find(Search(directories=[directory], patterns=patterns)).files)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.csv", ["umap.csv"]),
        ("figures/*.png", ["figures/a.png"]),
        ("figures/?.*", ["figures/a.png", "figures/b.svg"]),
        ("figures/**", ["figures/a.png", "figures/b.svg", "figures/old/c.png"]),
        ("figures/", ["figures/a.png", "figures/b.svg", "figures/old/c.png"]),
        ("**/*.png", ["figures/a.png", "figures/old/c.png"]),
        ("**/**/c.*", ["figures/old/c.png"]),
        ("**/umap.csv", ["umap.csv"]),
        ("./*.csv", ["umap.csv"]),
        (".hidden.csv", [".hidden.csv"]),
        (".*csv*", [".hidden.csv"]),
        ("figures/.cache/*", ["figures/.cache/d.png"]),
        ("[!a-t]*.csv", ["umap.csv"]),
        ("figures", ["figures/a.png", "figures/b.svg", "figures/old/c.png"]),
        ("figures/old", ["figures/old/c.png"]),
        ("*", ["umap.csv"]),
        (".git/*", []),
    ],
)
def test_a_pattern_matches_as_in_a_shell(directory: Path, pattern: str, found: list[str]) -> None:
    assert names(directory, pattern) == found


def test_no_link_is_followed_and_no_pipe_read(
    directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "secret.csv").write_text("outside")
    (directory / "link.csv").symlink_to(tmp_path / "secret.csv")
    (directory / "loop").symlink_to(directory)
    (directory / "out").symlink_to(tmp_path)
    os.mkfifo(directory / "pipe.csv")

    with caplog.at_level(logging.WARNING):
        assert names(directory, "**/*.csv") == ["umap.csv"]
    assert "left out link.csv: it is not a regular file" in caplog.text


@pytest.mark.parametrize("pattern", ["/etc/passwd", "../*.csv", "figures/../../*", "", "."])
def test_a_pattern_that_leads_out_is_refused(directory: Path, pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="leads out of the notebook's directory"):
        names(directory, pattern)


def test_what_is_left_out_or_did_not_change_is_not_found(directory: Path) -> None:
    since = max(path.stat().st_ctime_ns for path in directory.rglob("*"))
    umap = directory / "umap.csv"
    while umap.stat().st_ctime_ns <= since:
        os.utime(umap, ns=(0, 0))  # as an unpacked file has an old time
    search = Search(
        directories=[directory],
        patterns=["**/*.csv", "figures/"],
        left_out=[directory / "figures"],
        since=since,
    )

    assert list(files_beside.find(search).files) == ["umap.csv"]
    everything = Search(directories=[directory], patterns=["figures/*"], since=since)
    assert files_beside.find(everything).older == ["figures/a.png", "figures/b.svg"]


def test_files_of_notebooks_in_several_directories_keep_their_directories(tmp_path: Path) -> None:
    for name in ("source/a/x.csv", "source/b/x.csv"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(name)
    both = [tmp_path / "source/a", tmp_path / "source/b", tmp_path / "source/a"]

    found = files_beside.find(Search(directories=both, patterns=["*.csv"]))

    assert sorted(found.files) == ["a/x.csv", "b/x.csv"]


def test_a_directory_with_too_many_files_is_named(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_beside, "_MOST_ENTRIES", 8)

    found = files_beside.find(Search(directories=[directory], patterns=["**"]))

    (unread,) = found.unread
    assert unread.startswith(f"there are more than 8 files below {directory}: write patterns")


@pytest.mark.slow
def test_directories_may_be_nested_deeper_than_python_recurses(tmp_path: Path) -> None:
    for depth in range(1, 1101):
        Path(tmp_path, *["d"] * depth).mkdir()
    Path(tmp_path, *["d"] * 1100, "x.csv").write_text("x")

    try:
        assert len(names(tmp_path, "**/*.csv")) == 1
    finally:
        subprocess.run(["rm", "-r", tmp_path / "d"], check=True)


def test_copies_have_the_paths_below_files(directory: Path, tmp_path: Path) -> None:
    found = files_beside.find(Search(directories=[directory], patterns=["**/*.png"])).files

    assert files_beside.copy(found, tmp_path / "out", 1000) == []
    assert (tmp_path / "out/files/figures/old/c.png").read_text() == "figures/old/c.png"
    (directory / "figures/old/c.png").write_text("anew")
    files_beside.copy(found, tmp_path / "out", 1000)
    assert (tmp_path / "out/files/figures/old/c.png").read_text() == "anew"


def test_what_does_not_fit_is_returned_and_the_rest_is_copied(
    directory: Path, tmp_path: Path
) -> None:
    (directory / "figures/a.png").write_bytes(bytes(2_000_000))
    found = files_beside.find(Search(directories=[directory], patterns=["figures/*"])).files

    assert files_beside.copy(found, tmp_path / "out", 1000) == ["figures/a.png (2.0 MB)"]
    assert [path.name for path in (tmp_path / "out/files/figures").iterdir()] == ["b.svg"]


@pytest.mark.parametrize("link", ["out/files", "out/files/figures", "out/files/figures/a.png"])
def test_a_link_in_the_artifacts_leads_no_copy_out(
    directory: Path, tmp_path: Path, link: str
) -> None:
    (tmp_path / link).parent.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / link).symlink_to(tmp_path / "elsewhere")
    found = files_beside.find(Search(directories=[directory], patterns=["figures/a.png"])).files

    with pytest.raises(ConfigurationError, match="a link is there; remove it"):
        files_beside.copy(found, tmp_path / "out", 1000)
    assert list((tmp_path / "elsewhere").iterdir()) == []
