from pathlib import Path

import pytest

from images import open_prefix


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """Make a directory as RAPIDS has /opt/conda: for its owner and group alone."""
    (tmp_path / "conda/bin").mkdir(parents=True)
    for name, mode in {"bin/python": 0o770, "pkg.py": 0o660, "open.py": 0o664}.items():
        path = tmp_path / "conda" / name
        path.write_bytes(b"x" * 1_000_000)
        path.chmod(mode)
    (tmp_path / "conda/bin/python3").symlink_to("python")
    (tmp_path / "conda/bin").chmod(0o770)
    (tmp_path / "conda").chmod(0o2770)
    return tmp_path / "conda"


def modes(prefix: Path) -> list[str]:
    names = (".", "bin", "bin/python", "pkg.py", "open.py")
    return [oct((prefix / name).stat().st_mode & 0o7777) for name in names]


def test_others_may_read_and_run_but_write_no_more_than_before(
    prefix: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert open_prefix.main([f"--prefix={prefix}", "--limit=5"]) == 0

    assert modes(prefix) == ["0o2775", "0o775", "0o775", "0o664", "0o664"]
    assert "opened 4 entries" in capsys.readouterr().out


def test_nothing_is_opened_where_it_would_copy_too_much(
    prefix: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = modes(prefix)

    assert open_prefix.main([f"--prefix={prefix}", "--limit=1"]) == 1

    assert modes(prefix) == before
    assert "copies 2 MB, more than 1" in capsys.readouterr().err


def test_a_limit_of_zero_leaves_the_prefix_to_its_group(prefix: Path) -> None:
    before = modes(prefix)

    assert open_prefix.main([f"--prefix={prefix}", "--limit=0"]) == 0

    assert modes(prefix) == before
