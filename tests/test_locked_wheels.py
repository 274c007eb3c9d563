"""An environment of locked wheels is what its lock says, or a test is skipped with the reason."""

import hashlib
import zipfile
from pathlib import Path

import locked_wheels
import pytest

pytestmark = pytest.mark.slow

ZEROS = "0" * 64


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let uv find the wheel tiny 1 alone; return a lock that pins it with another hash."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "tiny-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1")
        wheel.writestr("tiny-1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any")
        wheel.writestr("tiny-1.dist-info/RECORD", "")
    lock = tmp_path / "row.txt"
    lock.write_text(f"tiny==1 --hash=sha256:{ZEROS}\n")
    return lock


def kept(directory: Path) -> list[Path]:
    """Return the environments that another run would take as they are."""
    return list(directory.glob("cache/stepkit-tests/wheels/*/ready"))


def test_wheels_that_cannot_be_had_are_a_reason_to_skip_and_are_tried_again(
    tmp_path: Path, lock: Path
) -> None:
    lock.write_text(f"tiny==2 --hash=sha256:{ZEROS}\n")

    for _ in range(2):
        with pytest.raises(pytest.skip.Exception, match=r"(?s)of row cannot be had: .*tiny==2"):
            locked_wheels.environment(lock)

    assert not kept(tmp_path)


def test_a_wheel_that_is_not_the_locked_one_is_a_failure(tmp_path: Path, lock: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"(?s)row are not those of its lock: .*tiny"):
        locked_wheels.environment(lock)

    assert not kept(tmp_path)


def test_an_environment_is_made_once_for_a_lock(tmp_path: Path, lock: Path) -> None:
    digest = hashlib.sha256((tmp_path / "tiny-1-py3-none-any.whl").read_bytes()).hexdigest()
    lock.write_text(f"tiny==1 --hash=sha256:{digest}\n")

    first = locked_wheels.environment(lock)
    (tmp_path / "tiny-1-py3-none-any.whl").unlink()
    again = locked_wheels.environment(lock)

    assert first == again
    assert list(first.glob("lib/python3.*/site-packages/tiny-1.dist-info"))
    assert len(kept(tmp_path)) == 1
