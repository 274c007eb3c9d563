"""Web hooks as GitHub documents them: the fields that triggers look at, and some beside them."""

from typing import Any

COMMIT = "1481a2de7b2a7d02428ad93446ab166be7793fbb"
NO_COMMIT = "0" * 40
REPOSITORY = {
    "id": 186853002,
    "full_name": "somebody/notebooks",
    "clone_url": "https://github.com/somebody/notebooks.git",
    "private": False,
    "fork": False,
}


def commit(message: str = "Correct the axis", **files: list[str]) -> dict[str, Any]:
    """Return one entry of a push's commits: ``added``, ``modified``, ``removed`` name files."""
    return {
        "id": COMMIT,
        "distinct": True,
        "message": message,
        "timestamp": "2026-10-22T13:50:07-08:00",
        "added": [],
        "removed": [],
        "modified": [],
        **files,
    }


def push(*commits: dict[str, Any], ref: str = "refs/heads/main", **fields: Any) -> dict[str, Any]:
    return {
        "ref": ref,
        "before": "17c497ccc7cca9c2f735aa07e9e3813060ce9a6a",
        "after": COMMIT,
        "created": False,
        "deleted": False,
        "forced": False,
        "base_ref": None,
        "commits": list(commits),
        "head_commit": commits[-1] if commits else None,
        "repository": REPOSITORY,
        **fields,
    }


def deletion(ref: str) -> dict[str, Any]:
    return push(ref=ref, after=NO_COMMIT, deleted=True)


def pull_request(
    action: str = "opened",
    *,
    base: str = "main",
    head_repository: dict[str, Any] | None = REPOSITORY,
    title: str = "Correct the axis",
    **fields: Any,
) -> dict[str, Any]:
    return {
        "action": action,
        "number": 2,
        "pull_request": {
            "id": 279147437,
            "state": "open",
            "draft": False,
            "title": title,
            "head": {"ref": "correct-axis", "sha": COMMIT, "repo": head_repository},
            "base": {"ref": base, "sha": NO_COMMIT, "repo": REPOSITORY},
            "labels": [],
        },
        "repository": REPOSITORY,
        **fields,
    }


FORK = {
    "id": 1,
    "full_name": "anybody/notebooks",
    "clone_url": "https://github.com/anybody/notebooks.git",
    "fork": True,
}
