"""Version, tag, names of images and CHANGELOG.md agree; what a release needs is listed."""

from dataclasses import replace
from typing import Any

import pytest

from release import agreement

DIGEST = "sha256:" + "0" * 64
READY = agreement.Tree(
    version="0.2.0",
    changelog="# Changelog\n\n## Unreleased\n\n## 0.2.0 - 2026-11-30\n\n### Added\n\n- one\n",
    tags=("v0.2.0",),
    stale=(),
    lost=(),
    uncommitted=(),
    images={"name": "registry.example.com/stepkit", "digests": {"gpu": DIGEST, "cpu": DIGEST}},
    source="https://github.com/someone/stepkit",
)


def test_a_commit_with_its_tag_is_ready() -> None:
    assert agreement.problems(READY) == []
    assert agreement.missing(READY) == []


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (
            {"version": "0.3.0", "tags": ()},
            "CHANGELOG.md: the newest release is 0.2.0 - 2026-11-30, stepkit is 0.3.0",
        ),
        ({"tags": ("v0.1.0",)}, "the tag v0.1.0 is on this commit, and stepkit is 0.2.0"),
        (
            {"lost": ("reason cell-error",)},
            "release/interface.txt: reason cell-error was released, and is not there",
        ),
        ({"stale": ("docs/cli.md",)}, "docs/cli.md is stale: run `make generated`"),
        (
            {"images": {"name": "example.com/step", "digests": {}}},
            "images.toml: the last part of 'example.com/step' is not stepkit",
        ),
    ],
)
def test_what_disagrees_is_named(changed: dict[str, Any], problem: str) -> None:
    assert agreement.problems(replace(READY, **changed)) == [problem]


@pytest.mark.parametrize(
    ("changed", "needed"),
    [
        ({"tags": ()}, "the tag v0.2.0 on this commit"),
        ({"uncommitted": (" M a", "?? b")}, "not committed:  M a (2 files)"),
        (
            {"changelog": READY.changelog.replace("## 0.2.0", "- two\n\n## 0.2.0")},
            "CHANGELOG.md: 1 entries are unreleased: python -m release.prepare",
        ),
        (
            {"source": "https://github.com/you/stepkit"},
            "pyproject.toml: name the owner of the repository in place of `you`",
        ),
        (
            {"images": {**READY.images, "name": "stepkit"}},
            "stepkit/tekton/images.toml: the name of the images has no registry",
        ),
        (
            {"images": {**READY.images, "digests": {"gpu": DIGEST, "cpu": ""}}},
            "stepkit/tekton/images.toml: no digest of cpu",
        ),
    ],
)
def test_what_a_release_needs_before_its_tag_is_listed(
    changed: dict[str, Any], needed: str
) -> None:
    tree = replace(READY, **changed)
    assert agreement.problems(tree) == []
    assert agreement.missing(tree) == [needed]
