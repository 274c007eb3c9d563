import os
import stat
import tempfile
from pathlib import Path

import pytest

from stepkit.cli import cache_dirs


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "tmp"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


@pytest.fixture
def unwritable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return a home directory that is not writable, even for root."""
    home = tmp_path / "home"
    home.mkdir()
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and allowed(path, mode))
    return home


def test_a_home_that_can_be_written_to_is_used(tmp_path: Path, temporary: Path) -> None:
    environment = {"HOME": str(tmp_path)}

    assert cache_dirs.provide(environment) is None
    assert environment == {"HOME": str(tmp_path)}
    assert not list(temporary.iterdir())


def test_caches_leave_a_home_that_takes_no_files(unwritable: Path, temporary: Path) -> None:
    environment = {"HOME": str(unwritable), "NUMBA_CACHE_DIR": "/kept"}

    directory = cache_dirs.provide(environment)

    assert directory == temporary / f"stepkit-caches-{os.geteuid()}"
    assert environment["HOME"] == str(unwritable)  # it may hold the user's configuration
    assert environment["NUMBA_CACHE_DIR"] == "/kept"
    for variable in cache_dirs.VARIABLES.keys() - {"NUMBA_CACHE_DIR"}:
        place = Path(environment[variable])
        assert place.parent == directory
        assert stat.S_IMODE(place.stat().st_mode) == 0o700


@pytest.mark.parametrize("home", ["/", "/does/not/exist", "relative"])
def test_a_user_without_a_home_gets_a_directory(home: str, temporary: Path) -> None:
    environment = {"HOME": home}

    directory = cache_dirs.provide(environment)

    assert directory
    assert environment["HOME"] == str(directory)
    assert directory.parent == temporary


def test_a_user_without_a_home_and_an_account_gets_a_directory(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 54321)  # pwd knows no such user
    environment: dict[str, str] = {}

    directory = cache_dirs.provide(environment)

    assert directory
    assert directory.parent == temporary
    assert environment["HOME"] == str(directory)


def test_the_same_directory_serves_the_next_process(temporary: Path) -> None:
    assert cache_dirs.provide({"HOME": "/"}) == cache_dirs.provide({"HOME": "/"})
    assert len(list(temporary.iterdir())) == 1


@pytest.mark.parametrize("trap", ["link", "open"])
def test_a_directory_that_another_user_may_have_made_is_not_used(
    trap: str, temporary: Path, tmp_path: Path
) -> None:
    taken = temporary / f"stepkit-caches-{os.geteuid()}"
    if trap == "link":
        taken.symlink_to(tmp_path)
    else:
        taken.mkdir()
        taken.chmod(0o777)

    directory = cache_dirs.provide({"HOME": "/"})

    assert directory
    assert directory != taken
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert not list(taken.iterdir()) or trap == "link"


def test_without_a_writable_file_system_no_directory_is_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/does/not/exist")
    environment = {"HOME": "/"}

    assert cache_dirs.provide(environment) is None
    assert environment == {"HOME": "/"}
