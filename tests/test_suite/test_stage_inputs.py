import os
from pathlib import Path

import pytest

from stepkit.errors import ConfigurationError, Reason
from stepkit.test_suite import stage_inputs


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    path = tmp_path / "checkout"
    path.mkdir()
    return path


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "out" / "analysis.html"
    path.parent.mkdir()
    path.write_text("<html/>")
    return path


def _tree(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def test_the_input_directory_holds_the_inputs_and_no_older_file(checkout: Path, page: Path) -> None:
    old = checkout / "input" / "sub"
    old.mkdir(parents=True)
    (old / "deep.html").touch()
    (checkout / "input" / "stale.html").touch()
    (checkout / "input" / ".gitkeep").touch()
    (checkout / "input" / ".gitignore").write_text("*")
    stage_inputs.stage(checkout, "input", {"std.html": page})
    assert _tree(checkout) == {"input", "input/std.html", "input/.gitkeep", "input/.gitignore"}
    assert (checkout / "input" / "std.html").read_text() == "<html/>"


def test_a_missing_input_directory_is_made(checkout: Path, page: Path) -> None:
    stage_inputs.stage(checkout, "data/in", {"a.html": page})
    assert _tree(checkout) == {"data", "data/in", "data/in/a.html"}


@pytest.mark.parametrize("link", ["input", "data"])
def test_a_link_in_the_path_is_never_followed(checkout: Path, page: Path, link: str) -> None:
    (checkout / link).symlink_to(page.parent)
    directory = "input" if link == "input" else "data/in"
    with pytest.raises(ConfigurationError, match=f"{link} is a link or a file"):
        stage_inputs.stage(checkout, directory, {"a.html": page})
    assert _tree(page.parent) == {"analysis.html"}
    assert (checkout / link).is_symlink()


def test_a_file_in_the_path_is_kept(checkout: Path, page: Path) -> None:
    (checkout / "input").write_text("mine")
    with pytest.raises(ConfigurationError, match="input is a link or a file"):
        stage_inputs.stage(checkout, "input", {"a.html": page})
    assert (checkout / "input").read_text() == "mine"


def test_links_inside_are_removed_and_their_targets_are_kept(checkout: Path, page: Path) -> None:
    (checkout / "input" / "sub").mkdir(parents=True)
    (checkout / "input" / "link").symlink_to(page.parent)
    (checkout / "input" / "sub" / "link").symlink_to(page.parent)
    (checkout / "input" / ".gitkeep").symlink_to(page)
    (checkout / "input" / "a.html").symlink_to(page)
    stage_inputs.stage(checkout, "input", {"a.html": page})
    assert _tree(checkout) == {"input", "input/a.html"}
    assert not (checkout / "input" / "a.html").is_symlink()
    assert _tree(page.parent) == {"analysis.html"}


def test_a_hard_link_to_the_source_loses_only_its_name(checkout: Path, page: Path) -> None:
    (checkout / "input").mkdir()
    os.link(page, checkout / "input" / "old.html")
    stage_inputs.stage(checkout, "input", {"a.html": page})
    assert _tree(checkout / "input") == {"a.html"}
    assert page.read_text() == "<html/>"


def test_a_directory_of_code_is_not_emptied(checkout: Path, page: Path) -> None:
    (checkout / "tests").mkdir()
    (checkout / "tests" / "test_x.py").touch()
    with pytest.raises(ConfigurationError, match=r"holds code \(test_x.py\): not emptying it"):
        stage_inputs.stage(checkout, "tests", {"a.html": page})
    assert _tree(checkout) == {"tests", "tests/test_x.py"}


def test_a_directory_with_code_in_a_subdirectory_is_not_emptied(checkout: Path, page: Path) -> None:
    (checkout / "src" / "pkg" / "deep").mkdir(parents=True)
    (checkout / "src" / "old.html").touch()
    (checkout / "src" / "pkg" / "deep" / "m.py").touch()
    with pytest.raises(ConfigurationError, match=r"holds code \(pkg/deep/m.py\): not emptying it"):
        stage_inputs.stage(checkout, "src", {"a.html": page})
    assert _tree(checkout) == {
        "src", "src/old.html", "src/pkg", "src/pkg/deep", "src/pkg/deep/m.py",
    }  # fmt: skip


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_an_error_in_a_read_only_checkout_names_the_user(checkout: Path, page: Path) -> None:
    checkout.chmod(0o555)
    with pytest.raises(
        ConfigurationError, match=r"cannot stage inputs .*Permission denied for uid"
    ):
        stage_inputs.stage(checkout, "input", {"a.html": page})


@pytest.mark.parametrize("directory", ["", ".", "..", "a/../..", "/tmp", ".git", "a/.git/hooks"])
def test_only_a_directory_inside_the_checkout_is_emptied(checkout: Path, directory: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a directory inside the checkout"):
        stage_inputs.check_directory(checkout, directory, ())


def test_an_input_in_the_directory_that_is_emptied_is_refused(checkout: Path) -> None:
    inside = checkout / "input" / "a.html"
    inside.parent.mkdir()
    inside.write_text("x")
    with pytest.raises(ConfigurationError, match="is emptied first: keep it elsewhere"):
        stage_inputs.check_directory(checkout, "input", [inside])
    assert inside.exists()


def test_templates_name_the_staged_files(page: Path) -> None:
    assert stage_inputs.plan([page], ["std_{stem}{suffix}"]) == {"std_analysis.html": page}
    other = page.with_name("b.html")
    other.write_text("b")
    assert stage_inputs.plan([page, other], ["{name}"]) == {"analysis.html": page, "b.html": other}
    planned = stage_inputs.plan([page, other], ["x.html", "y.html"])
    assert planned == {"x.html": page, "y.html": other}


def test_two_inputs_with_the_same_name_are_refused(page: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"would both be staged as same\.html"):
        stage_inputs.plan([page, page], ["same.html"])


def test_names_and_inputs_must_match_in_number(page: Path) -> None:
    with pytest.raises(ConfigurationError, match="there are 2 input names for 3 inputs"):
        stage_inputs.plan([page] * 3, ["a", "b"])


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{nmae}", "may hold {name}, {stem} and {suffix}, nothing else"),
        ("{name.__class__}", "nothing else"),
        ("../{name}", "which is not a file name"),
        ("..", "which is not a file name"),
        ("{", "nothing else"),
    ],
)
def test_a_wrong_template_is_refused(page: Path, template: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        stage_inputs.plan([page], [template])


def test_the_error_for_a_missing_input_names_a_similar_one(page: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"analysis.html\?") as caught:
        stage_inputs.plan([page.with_name("analyses.html")], ["{name}"])
    assert caught.value.reason is Reason.ARTIFACT_MISSING


def test_an_empty_input_is_refused(page: Path) -> None:
    page.write_text("")
    with pytest.raises(ConfigurationError, match="is empty: did the step") as caught:
        stage_inputs.plan([page], ["{name}"])
    assert caught.value.reason is Reason.ARTIFACT_MISSING


def test_a_directory_is_not_an_input(page: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not a file"):
        stage_inputs.plan([page.parent], ["{name}"])
