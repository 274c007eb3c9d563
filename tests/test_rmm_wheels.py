"""The environments of locked RMM wheels are what their locks say, or are skipped with a reason."""

import re
import zipfile
from pathlib import Path

import pytest
import rmm_wheels


@pytest.mark.parametrize("row", rmm_wheels.ROWS)
def test_a_lock_pins_what_the_name_of_its_row_says(row: str) -> None:
    asked = (rmm_wheels.LOCKS / f"{row}.in").read_text().split()
    lock = (rmm_wheels.LOCKS / f"{row}.txt").read_text()
    cuda, release = row.removeprefix("cuda").split("-")
    year, month = map(int, release.split("."))

    assert f"rmm-cu{cuda}=={year}.{month}.*" in asked
    for requirement in asked:
        start = requirement.removesuffix("*")
        assert re.search(rf"^{re.escape(start)}.*\n    --hash=sha256:", lock, re.MULTILINE)


def test_no_lock_is_left_without_what_it_was_made_from() -> None:
    made_from = sorted(file.stem for file in rmm_wheels.LOCKS.glob("*.in"))

    assert made_from == rmm_wheels.ROWS
    assert len(rmm_wheels.ROWS) >= 6


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let uv find only wheels in ``tmp_path / "wheels"``; return where environments are kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    (tmp_path / "wheels").mkdir()
    return tmp_path / "cache/stepkit-tests/rmm-wheels"


@pytest.mark.slow
def test_wheels_that_cannot_be_had_are_a_reason_to_skip_and_are_tried_again(cache: Path) -> None:
    for _ in range(2):
        with pytest.raises(pytest.skip.Exception, match=r"cuda12-25\.04 cannot be had: "):
            rmm_wheels.python_of("cuda12-25.04")

    assert not list(cache.glob("*/ready"))


@pytest.mark.slow
def test_a_wheel_that_is_not_the_locked_one_is_a_failure(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "wheels/tiny-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1")
        wheel.writestr("tiny-1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any")
        wheel.writestr("tiny-1.dist-info/RECORD", "")
    (tmp_path / "row.txt").write_text(f"tiny==1 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setattr(rmm_wheels, "LOCKS", tmp_path)

    with pytest.raises(
        pytest.fail.Exception, match=r"(?s)row are not those of its lock: .*tiny==1"
    ):
        rmm_wheels.python_of("row")

    assert not list(cache.glob("*/ready"))
