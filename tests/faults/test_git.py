"""Rows G: what goes wrong with git, its servers, and the place of a checkout."""

from pathlib import Path

import commands
from faults.harness import Fault, row
from samples import Origin


def is_checkout(place: Path) -> bool:
    """Whether a checkout is complete and unchanged."""
    git = ("git", "-c", "safe.directory=*", "-C", place)
    status = commands.run(*git, "status", "--porcelain", "--ignored")
    fsck = commands.run(*git, "fsck", "--connectivity-only", "--no-progress")
    return (status.returncode, status.stdout, fsck.returncode) == (0, "", 0)


@row("G1")
def test_a_revision_of_each_kind(fault: Fault, origin: Origin) -> None:
    origin.git("tag", "-a", "-m", "of the tests", "annotated")
    origin.git("tag", "plain")
    origin.git("branch", "feature/x")
    revision = {
        "HEAD": "HEAD",
        "branch": "main",
        "tag": "plain",
        "annotated-tag": "annotated",
        "commit": origin.head,
        "branch-with-slash": "feature/x",
        "full-ref": "refs/tags/plain",
    }[fault.case]
    place = fault.place("source", is_checkout)

    ended = fault.run("--url", origin.url, "--destination", place, "--revision", revision)

    assert ended.report["outputs"]["commit"] == origin.head


@row("G36")
def test_a_branch_that_does_not_exist(fault: Fault, origin: Origin) -> None:
    place = fault.place("source", is_checkout)

    fault.run("--url", origin.url, "--destination", place, "--revision", "no-such-branch")
