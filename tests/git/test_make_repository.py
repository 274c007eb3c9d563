"""A directory becomes a repository that can be cloned."""

from pathlib import Path

import commands
import pytest

from stepkit.errors import ConfigurationError, ToolError
from stepkit.git.make_repository import make_repository


def test_a_repository_has_the_files_of_the_directory_without_bytecode(tmp_path: Path) -> None:
    for name in ("files/sub/a.txt", "files/__pycache__/a.pyc"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()

    make_repository(tmp_path / "files", tmp_path / "made.git")

    cloned = commands.run("git", "clone", "--quiet", tmp_path / "made.git", tmp_path / "clone")
    assert cloned.returncode == 0, cloned.stderr
    assert [path.name for path in (tmp_path / "clone").iterdir()] == [".git", "sub"]
    assert (tmp_path / "clone/sub/a.txt").is_file()


def test_a_directory_without_files_makes_no_repository(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()

    with pytest.raises(ToolError, match=r"cannot make a repository of .*/files: On branch main"):
        make_repository(tmp_path / "files", tmp_path / "made.git")


def test_without_git_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ConfigurationError, match=r"no git on PATH: install it"):
        make_repository(tmp_path, tmp_path / "made.git")

    assert list(tmp_path.iterdir()) == []
