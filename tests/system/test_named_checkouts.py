"""A file that is named by its repository is found in the checkout of that, or nowhere."""

from pathlib import Path

import pytest
import refusals

from stepkit.errors import ConfigurationError, Reason
from stepkit.system import named_checkouts


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory of a run with the checkouts of notebooks and tests, from outside it."""
    for name in ("source", "tests"):
        (tmp_path / f"run-1/{name}/ci").mkdir(parents=True)
        (tmp_path / f"run-1/{name}/ci/rules.yaml").touch()
    (tmp_path / "run-1/secret.yaml").touch()
    monkeypatch.chdir(tmp_path)
    return Path("run-1")


@pytest.mark.parametrize(("name", "directory"), [("notebooks", "source"), ("tests", "tests")])
def test_a_name_before_the_path_chooses_the_checkout(run: Path, name: str, directory: str) -> None:
    found = named_checkouts.find(Path(f"{name}:ci/rules.yaml"), run)

    assert found == Path(f"run-1/{directory}/ci/rules.yaml")


def test_a_link_within_the_repository_is_followed(run: Path) -> None:
    (run / "tests/rules.yaml").symlink_to("ci/rules.yaml")

    assert named_checkouts.find(Path("tests:rules.yaml"), run) == run / "tests/rules.yaml"


@pytest.mark.parametrize("path", ["../secret.yaml", "ci/../../secret.yaml", "/etc/passwd", "out"])
@pytest.mark.parametrize("first", [True, False])
def test_a_path_or_a_link_out_of_the_repository_is_refused(
    run: Path, path: str, *, first: bool
) -> None:
    (run / "source/out").symlink_to("../secret.yaml")

    text = refusals.refusal(named_checkouts.find, Path(f"notebooks:{path}"), run)

    assert text.startswith(f"notebooks:{path} leads out of its repository, to ../")
    if not path.startswith("/"):
        plain = refusals.refusal(named_checkouts.find, Path(path), run, notebooks_first=first)
        assert plain.startswith(f"{path} in the notebooks' repository leads out of its repository")


def test_a_plain_path_is_one_from_the_working_directory_or_from_the_notebooks(run: Path) -> None:
    path, in_notebooks = Path("ci/rules.yaml"), run / "source/ci/rules.yaml"

    assert named_checkouts.find(path, run) == in_notebooks
    Path("ci").mkdir()
    path.touch()
    assert named_checkouts.find(path, run) == path
    assert named_checkouts.find(path, run, notebooks_first=True) == in_notebooks
    assert named_checkouts.find(path, None, notebooks_first=True) == path


@pytest.mark.parametrize("path", ["nosuch.yaml", "/etc/rules.yaml", "docs:x", "a" * 5000])
def test_what_is_nowhere_stays_as_it_is_for_the_message_of_the_step(run: Path, path: str) -> None:
    assert named_checkouts.find(Path(path), run) == Path(path)


def test_a_missing_file_is_named_with_its_neighbours(run: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        named_checkouts.find(Path("tests:ci/rule.yaml"), run)

    assert caught.value.reason == Reason.NOT_FOUND
    assert str(caught.value).startswith(
        "there is no file tests:ci/rule.yaml (did you mean rules.yaml?): it is not /"
    )


@pytest.mark.parametrize("path", ["tests:", "tests:ci"])
def test_a_directory_is_not_a_file(run: Path, path: str) -> None:
    text = refusals.refusal(named_checkouts.find, Path(path), run)

    assert text.startswith(f"{path} is a directory, /")
    assert text.endswith("name a file in it")


def test_a_repository_that_was_not_cloned_is_named_with_its_param(run: Path) -> None:
    assert refusals.refusal(named_checkouts.find, Path("config:rules.yaml"), run) == (
        "config:rules.yaml: the repository 'config' was not cloned to run-1/config: give its "
        "address (param config-url), or take a file of another repository"
    )


def test_without_checkouts_a_name_is_refused() -> None:
    assert refusals.refusal(named_checkouts.find, Path("tests:ci/rules.yaml"), None) == (
        "tests:ci/rules.yaml is a file of the repository 'tests': say where its checkout is, in "
        "DIR/tests, with --checkouts DIR"
    )


@pytest.mark.parametrize(
    ("path", "checkout"),
    [
        ("run-1/source/ci/rules.yaml", "run-1/source"),
        ("run-1/tests", "run-1/tests"),
        ("run-1/source/../tests/x", "run-1/tests"),
        ("run-1/secret.yaml", None),
        ("run-1/sources/x", None),
    ],
)
def test_the_checkout_that_a_path_is_in(run: Path, path: str, checkout: str | None) -> None:
    found = named_checkouts.of_path(Path(path), run)

    assert found == (checkout and Path(checkout))
    assert named_checkouts.of_path(Path(path), None) is None


def test_a_link_out_of_a_repository_is_not_a_name_for_a_file(run: Path) -> None:
    (run / "tests/out.yaml").symlink_to("../secret.yaml")

    assert named_checkouts.names_of(Path("out.yaml"), run) == []
    assert named_checkouts.names_of(Path("ci/rules.yaml"), run) == [
        "notebooks:ci/rules.yaml",
        "tests:ci/rules.yaml",
    ]
