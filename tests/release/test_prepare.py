"""`release.prepare` writes a version in all places, and refuses one that cannot be next."""

import json
from pathlib import Path

import commands
import pytest

from release import agreement, prepare
from stepkit import __version__

ROOT = Path(__file__).parents[2]
COMMIT = ("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "--allow-empty", "-m", "a")


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ("0.3", "'0.3' is not a version, such as 0.3.0"),
        ("0.0.9", f"0.0.9 is older than stepkit {__version__}"),
        ("99.0.0", "v99.0.0 is a tag already: name the next version"),
    ],
)
def test_a_version_that_cannot_be_next_changes_nothing(
    version: str,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(prepare, "ROOT", tmp_path)
    agreement.git(tmp_path, "init", "--quiet")
    agreement.git(tmp_path, *COMMIT)
    agreement.git(tmp_path, "tag", "v99.0.0")

    assert prepare.main([version]) == 2

    assert capsys.readouterr().err == f"release.prepare: {why}\n"
    assert [path.name for path in tmp_path.iterdir()] == [".git"]


@pytest.mark.slow
def test_a_tree_with_the_next_version_agrees_and_has_no_digests_of_the_older_one(
    tmp_path: Path,
) -> None:
    clone = tmp_path / "clone"
    agreement.git(ROOT, "clone", "--quiet", str(ROOT), str(clone))
    images = clone / "stepkit/tekton/images.toml"
    images.write_text(images.read_text().replace('gpu = ""', f'gpu = "sha256:{"0" * 64}"'))

    done = commands.python("-m", "release.prepare", "99.0.0", cwd=clone)
    assert done.returncode == 0, done.stderr

    program = (
        "import json, pathlib; from release import agreement; "
        "tree = agreement.read(pathlib.Path.cwd()); "
        "print(json.dumps([tree.version, tree.images, agreement.problems(tree)]))"
    )
    version, images_after, problems = json.loads(commands.python("-c", program, cwd=clone).stdout)
    assert (version, problems) == ("99.0.0", [])
    assert set(images_after["digests"].values()) == {""}
    assert "stepkit:99.0.0-cpu" in (clone / "README.md").read_text()
    assert "default: stepkit:99.0.0\n" in (clone / "tasks/git-clone.yaml").read_text()
    assert "## Unreleased\n\n## 99.0.0 - " in (clone / "CHANGELOG.md").read_text()
