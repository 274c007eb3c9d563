"""Files of an attempt that are kept when another one follows, and their removal."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stepkit.errors import ConfigurationError
from stepkit.notebook import attempt_files


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("out.ipynb", "out.attempt-2.ipynb"),
        ("papermill.log", "papermill.attempt-2.log"),
        ("v1.5 lite.html", "v1.5 lite.attempt-2.html"),
        ("stdout", "stdout.attempt-2"),
        ("v1.5.timeline.json.gz", "v1.5.attempt-2.timeline.json.gz"),
        ("out.patched.ipynb", "out.attempt-2.patched.ipynb"),
    ],
)
def test_a_kept_file_stays_beside_its_place_with_its_extension(name: str, expected: str) -> None:
    assert attempt_files.kept_path(Path("a.b", name), 2) == Path("a.b", expected)


def test_directories_are_kept_and_links_devices_and_missing_files_passed_over(
    tmp_path: Path,
) -> None:
    (tmp_path / "out.outputs").mkdir()
    (tmp_path / "out.outputs/cell-1").write_text("long")
    (tmp_path / "link.log").symlink_to("/dev/stderr")
    os.mkfifo(tmp_path / "pipe")

    attempt_files.keep([tmp_path / name for name in ("out.outputs", "link.log", "pipe", "none")], 3)

    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"out.attempt-3.outputs", "link.log", "pipe"}
    assert (tmp_path / "out.attempt-3.outputs/cell-1").read_text() == "long"


def test_a_file_that_cannot_be_kept_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "out.ipynb").write_text("")
    (tmp_path / "out.attempt-1.ipynb").mkdir()

    with pytest.raises(ConfigurationError) as caught:
        attempt_files.keep([tmp_path / "out.ipynb"], 1)

    assert str(caught.value) == f"cannot keep {tmp_path}/out.ipynb of attempt 1: Is a directory"


@pytest.fixture
def earlier(tmp_path: Path) -> Callable[..., None]:
    def leave(*names: str) -> None:
        for name in names:
            (tmp_path / name).write_text(name)

    return leave


def test_what_an_earlier_run_kept_is_removed_and_nothing_else(
    tmp_path: Path, earlier: Callable[..., None]
) -> None:
    mine = ("out.attempt-1.ipynb.bak", "out.attempt-x.ipynb", "other.attempt-1.ipynb", "out.ipynb")
    earlier(*mine, "out.attempt-1.ipynb", "out.attempt-12.ipynb")
    (tmp_path / "out.attempt-1.outputs").mkdir()
    (tmp_path / "out.attempt-1.outputs/cell-1").write_text("")

    places = ("out.ipynb", "out.outputs", "no/such.log")
    attempt_files.remove_kept([tmp_path / name for name in places])

    assert {path.name for path in tmp_path.iterdir()} == set(mine)


def test_a_kept_notebook_that_is_run_again_is_not_removed(
    tmp_path: Path, earlier: Callable[..., None]
) -> None:
    earlier("out.attempt-1.ipynb", "out.attempt-2.ipynb")
    source = tmp_path / "out.attempt-2.ipynb"

    with pytest.raises(ConfigurationError) as caught:
        attempt_files.remove_kept([tmp_path / "out.ipynb"], source=source)

    assert str(caught.value) == (
        f"{source} is what an earlier attempt kept, and this run would replace it: "
        f"choose an output of another name, or copy it first"
    )
    assert len(list(tmp_path.iterdir())) == 2
