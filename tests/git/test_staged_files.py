"""What run-tests puts into a checkout is not work of a user: git-clone replaces it."""

from pathlib import Path

import pytest
from clones import clone
from samples import Origin, names

from stepkit.git import staged_files
from stepkit.steps import run_tests
from stepkit.system import atomic_files

TEST = """
from pathlib import Path


def test_page():
    assert Path("input/output_analysis.html").read_text() == "<html/>"
"""


@pytest.fixture
def tests(origin: Origin, tmp_path: Path) -> Path:
    """Return a checkout of tests with two files of its own for their input."""
    origin.commit("a sample", "input/sample.html")
    origin.commit("another", "input/output_analysis.html")
    origin.commit("*.tmp", ".gitignore")
    origin.commit(TEST, "test_page.py")
    return clone(origin, tmp_path / "tests").checkout


def stage(tests: Path, text: str = "<html/>") -> None:
    page = tests.parent / "output_analysis.html"
    page.write_text(text)
    for path in (tests / "input").iterdir():
        path.unlink()
    atomic_files.copy_atomically(page, tests / "input" / page.name)
    atomic_files.copy_atomically(page, tests / "input/ignored.tmp")
    staged_files.record(tests, "./input", [page.name, "ignored.tmp"])


@pytest.mark.slow
def test_a_checkout_whose_tests_ran_is_replaced_without_a_backup(
    origin: Origin, tests: Path, tmp_path: Path
) -> None:
    (tmp_path / "output_analysis.html").write_text("<html/>")
    outputs = run_tests.run(
        run_tests.Options(
            checkout=tests,
            artifacts=tmp_path / "artifacts",
            inputs=(tmp_path / "output_analysis.html",),
            installer="none",
        )
    )
    assert outputs.passed == 1
    assert names(tests / "input") == ["output_analysis.html"]

    assert clone(origin, tests).backup is None
    assert names(tests / "input") == ["output_analysis.html", "sample.html"]
    assert (tests / "input/output_analysis.html").read_text() == "another"


@pytest.mark.parametrize("options", [{}, {"delete_existing": False}])
def test_staged_files_that_are_as_they_were_staged_are_no_changes(
    origin: Origin, tests: Path, options: dict[str, bool]
) -> None:
    stage(tests)

    assert clone(origin, tests, **options).backup is None
    assert (tests / "input/output_analysis.html").read_text() == "another"


@pytest.mark.parametrize(
    "work", ["input/output_analysis.html", "input/mine.html", "test_page.py", "input/ignored.tmp"]
)
def test_other_changes_are_kept(origin: Origin, tests: Path, work: str) -> None:
    stage(tests)
    (tests / work).write_text("precious")

    backup = clone(origin, tests).backup

    assert backup is not None
    assert (backup / work).read_text() == "precious"


def test_a_staged_file_that_became_a_link_counts_as_changed(origin: Origin, tests: Path) -> None:
    stage(tests)
    (tests / "input/output_analysis.html").unlink()
    (tests / "input/output_analysis.html").symlink_to(tests.parent / "output_analysis.html")

    assert clone(origin, tests).backup is not None


@pytest.mark.parametrize("content", ["{", "[]", '{"input": 5}', "\udcff"])
def test_a_damaged_record_hides_no_change(origin: Origin, tests: Path, content: str) -> None:
    stage(tests)
    record = tests / ".git" / staged_files.RECORD
    record.write_bytes(content.encode(errors="surrogateescape"))

    assert clone(origin, tests).backup is not None


def test_nothing_is_noted_outside_of_a_repository(tmp_path: Path) -> None:
    staged_files.record(tmp_path, "input", [])

    assert names(tmp_path) == []
