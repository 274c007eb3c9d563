"""The path of a file in its repository, from the checkout on disk."""

from pathlib import Path

import pytest

from stepkit.system import checkout_paths


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout with one notebook, below a directory that is a checkout as well."""
    (tmp_path / ".git").mkdir()
    checkout = tmp_path / "run-7/source"
    (checkout / "notebooks").mkdir(parents=True)
    (checkout / ".git").write_text("gitdir: elsewhere")  # as a worktree or a submodule has it
    (checkout / "notebooks/a.ipynb").write_text("{}")
    return checkout


def test_a_path_begins_at_the_nearest_checkout(checkout: Path) -> None:
    found = checkout_paths.in_repository(str(checkout / "notebooks/a.ipynb"))

    assert found == "notebooks/a.ipynb"


def test_a_relative_path_counts_from_the_current_directory(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout.parent)

    assert checkout_paths.in_repository("source/notebooks/a.ipynb") == "notebooks/a.ipynb"
    assert checkout_paths.in_repository("x/../source/notebooks/a.ipynb") == (
        "x/../source/notebooks/a.ipynb"  # there is no x
    )
    monkeypatch.chdir(checkout / "notebooks")
    assert checkout_paths.in_repository("../notebooks/a.ipynb") == "notebooks/a.ipynb"


@pytest.mark.parametrize("path", ["", "nosuch.ipynb", "https://example.com/a.ipynb", "a\0b"])
def test_what_is_not_a_file_stays_as_it_is(
    checkout: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout)

    assert checkout_paths.in_repository(path) == path


def test_a_file_in_no_checkout_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text("{}")

    assert checkout_paths.in_repository(str(tmp_path / "a.ipynb")) == str(tmp_path / "a.ipynb")
