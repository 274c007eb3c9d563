"""Make a repository of the files of a directory, to clone it in a demo or a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepkit.errors import ToolError
from stepkit.git import commands
from stepkit.git.environment import without_server
from stepkit.system import process

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS: Final = 60
# The same files always make the same commit.
_AUTHOR: Final = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in {
        "NAME": "demo",
        "EMAIL": "demo@example.com",
        "DATE": "2026-01-01T00:00:00Z",
    }.items()
}


def make_repository(directory: Path, repository: Path) -> None:
    """Make the bare ``repository`` with one commit, on ``main``: the files of ``directory``.

    Ignored files and bytecode are left out. Raises :class:`ConfigurationError` if git is not
    installed, :class:`ToolError` if it fails.
    """
    target = str(repository.absolute())
    init = ("init", "--quiet", "--bare", "--initial-branch=main", target)
    commands.run(*init, cwd=directory, timeout=_SECONDS)
    for command in (
        ["add", "--all", "--", ".", ":(exclude)*__pycache__*"],
        ["commit", "--quiet", "--message=Publish"],
    ):
        done = process.run(
            ["git", f"--git-dir={target}", f"--work-tree={directory.absolute()}", *command],
            cwd=directory,
            env={**without_server().variables, **_AUTHOR},
            timeout=_SECONDS,
        )
        if done.code:
            raise ToolError(f"cannot make a repository of {directory}: {done.output.strip()}")
