"""Whether version, tag, images and CHANGELOG.md agree, and what a release still needs."""

from __future__ import annotations

import subprocess
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import stepkit
from release import changelog, interface
from tasks import generated

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Tree:
    """What a tree and its git say of a release."""

    version: str
    changelog: str
    tags: tuple[str, ...]  # of the commit, such as v0.2.0
    stale: tuple[str, ...]  # generated files: they name images and version
    lost: tuple[str, ...]  # names that were released, and are not there any more
    uncommitted: tuple[str, ...]
    images: dict[str, Any]  # stepkit/tekton/images.toml
    source: str  # address of the repository, in pyproject.toml


def read(root: Path) -> Tree:
    """Read the tree at ``root``, whose package is the one that runs."""
    images = (root / "stepkit/tekton/images.toml").read_text(encoding="utf-8")
    return Tree(
        version=stepkit.__version__,
        changelog=(root / "CHANGELOG.md").read_text(encoding="utf-8"),
        tags=tuple(git(root, "tag", "--points-at", "HEAD", "--list", "v*").split()),
        stale=tuple(str(path.relative_to(root)) for path in generated.stale(root)),
        lost=tuple(interface.lost(root)),
        uncommitted=tuple(git(root, "status", "--porcelain").splitlines()),
        images=tomllib.loads(images),
        source=source_address(root),
    )


def source_address(root: Path) -> str:
    """Return the address of the repository, from pyproject.toml."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["urls"]["Source"])


def problems(tree: Tree) -> list[str]:
    """Return what disagrees, which is wrong at any time."""
    wrong = changelog.problems(tree.changelog, tree.version)
    wrong += [f"{name} is stale: run `make generated`" for name in tree.stale]
    wrong += [f"{interface.FILE}: {name} was released, and is not there" for name in tree.lost]
    wrong += [
        f"the tag {tag} is on this commit, and stepkit is {tree.version}"
        for tag in tree.tags
        if tag != f"v{tree.version}"
    ]
    if tree.images["name"].rpartition("/")[2] != "stepkit":
        wrong.append(f"images.toml: the last part of {tree.images['name']!r} is not stepkit")
    return wrong


def missing(tree: Tree) -> list[str]:
    """Return what a release needs before its tag, and does not have."""
    found = []
    if tree.source.startswith("https://github.com/you/"):
        found.append("pyproject.toml: name the owner of the repository in place of `you`")
    if "/" not in tree.images["name"]:
        found.append("stepkit/tekton/images.toml: the name of the images has no registry")
    digests = [kind for kind, digest in tree.images["digests"].items() if not digest]
    if digests:
        found.append(f"stepkit/tekton/images.toml: no digest of {', '.join(digests)}")
    if count := changelog.unreleased(tree.changelog):
        found.append(f"CHANGELOG.md: {count} entries are unreleased: python -m release.prepare")
    if tree.uncommitted:
        found.append(f"not committed: {tree.uncommitted[0]} ({len(tree.uncommitted)} files)")
    if not tree.tags:
        found.append(f"the tag v{tree.version} on this commit")
    return found


def git(root: Path, *arguments: str) -> str:
    """Return what git prints."""
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
