"""Wheel and sdist have the same bytes wherever they are built, and PyPI shows README.md."""

from pathlib import Path

import pytest

from release import agreement, check, distributions
from stepkit import __version__

ROOT = Path(__file__).parents[2]
COMMIT = ("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "--all", "-m", "a")


@pytest.mark.slow
def test_a_commit_with_the_tag_fails_for_what_is_missing_or_built_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clone = tmp_path / "clone"
    agreement.git(ROOT, "clone", "--quiet", "--no-tags", str(ROOT), str(clone))
    project = clone / "pyproject.toml"
    excluded = '\n[tool.hatch.build.targets.sdist]\nexclude = ["stepkit/tekton/images.toml"]\n'
    project.write_text(project.read_text() + excluded)
    agreement.git(clone, *COMMIT)
    agreement.git(clone, "tag", f"v{__version__}")
    monkeypatch.setattr(check, "ROOT", clone)

    assert check.main([f"--out={tmp_path}/out"]) == 1

    printed = capsys.readouterr()
    lines = [line.partition("release-check: ")[2] for line in printed.err.splitlines()]
    (wheel,) = tmp_path.glob("out/*.whl")
    (sdist,) = tmp_path.glob("out/*.tar.gz")
    assert lines[-2:] == [
        f"{sdist.name} lacks stepkit/tekton/images.toml",
        f"{wheel.name} is not the same when it is built from the sdist",
    ]
    assert "a Python of each version: there are 0 of 3" in lines
    assert {line.partition(":")[0] for line in lines[:-3]} <= {
        "CHANGELOG.md", "pyproject.toml", "stepkit/tekton/images.toml",
    }  # fmt: skip
    assert printed.out == ""


@pytest.mark.parametrize(
    ("html", "target"),
    [
        ('<a href="docs/cli.md">all</a>', "docs/cli.md"),
        ('<img src="docs/report.png">', "docs/report.png"),
        ('<h2 id="in-ci">In CI</h2><a href="#ci">CI</a>', "#ci"),
    ],
)
def test_a_link_that_needs_the_repository_is_found(html: str, target: str) -> None:
    assert distributions.broken_links(html) == [f"README.md: {target} leads nowhere on PyPI"]
