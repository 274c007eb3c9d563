"""Git: GitPython reads checkouts; what talks to a server runs the git program itself.

GitPython cannot give a network call a deadline or end its helper processes, so those calls go
through :mod:`stepkit.system.process`.
"""

from __future__ import annotations

import logging
import re
import shlex
import shutil
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.git.environment import environment, without_server
from stepkit.git.errors import translated
from stepkit.system import process

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stepkit.git.environment import Access, GitEnvironment

logger = logging.getLogger(__name__)

FULL_COMMIT: Final = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?", re.IGNORECASE)
_SHOWN_BRANCHES: Final = 8

# The section of .git/config that marks a checkout as ours, so that a later run may replace it.
MARK: Final = "stepkit"

SUBMODULE: Final = "160000"  # the mode of one, in a tree or an index


def resolve(access: Access, revision: str) -> str:
    """Return the commit that the server has under ``revision``.

    ``HEAD`` is the server's default branch. Raises :class:`ConfigurationError` when the server
    has no such revision, or both a branch and a tag of that name at different commits.
    """
    if FULL_COMMIT.fullmatch(revision):
        return revision.lower()
    listed = ask(access, "ls-remote", "--end-of-options", access.url)
    pairs = (line.split("\t", 1) for line in listed.splitlines() if "\t" in line)
    refs = {name: commit for commit, name in pairs}
    found = choose(refs, revision, access.url)
    if not found:
        raise ConfigurationError(
            f"{access.url} has no branch or tag {revision!r}{_known_refs(refs)}",
            reason=Reason.NOT_FOUND,
        )
    return found


def choose(refs: Mapping[str, str], revision: str, url: str) -> str | None:
    """Return the commit that ``refs``, full names and commits, have under ``revision``.

    Raises :class:`ConfigurationError` for a branch and another tag of that name.
    """
    names = (
        (revision,) if revision == "HEAD" else (f"refs/heads/{revision}", f"refs/tags/{revision}")
    )
    names = (revision, *names) if revision.startswith("refs/") else names
    found = {name: refs.get(f"{name}^{{}}") or refs[name] for name in names if name in refs}
    if len(set(found.values())) > 1:
        raise ConfigurationError(
            f"{revision!r} is both a branch and a tag of {url}: write refs/heads/{revision} "
            f"or refs/tags/{revision}"
        )
    return next(iter(found.values()), None)


def head(checkout: Path) -> str | None:
    """Return the commit that is checked out, or None if there is none."""
    import git

    try:
        with git.Repo(checkout) as repo:  # asks no git program, which would heed its settings
            return str(git.HEAD.dereference_recursive(repo, "HEAD"))
    except (git.InvalidGitRepositoryError, git.NoSuchPathError, ValueError):
        return None


def ask(access: Access, *args: str, cwd: Path | None = None) -> str:
    """Run git with what it needs to reach the server, and return what it printed.

    Raises a :class:`StepError`: :class:`ToolError` for what another try may mend.
    """
    with environment(access) as env:
        return _git(
            *args, cwd=cwd, env=env, timeout=access.timeout, where=access.url, show=access.verbose
        )


def call(*args: str, cwd: Path, timeout: float, lfs: bool = False, show: bool = False) -> str:
    """Run git in ``cwd`` without a server and return what it printed.

    ``timeout`` is in seconds. Raises a :class:`StepError`.
    """
    env = without_server(lfs=lfs)
    return _git(*args, cwd=cwd, env=env, timeout=timeout, where=str(cwd), show=show)


def settings(file: Path, *, cwd: Path, timeout: float) -> list[tuple[str, str]]:
    """Return the names and values in a file of git's, none of the files that it includes.

    git runs in ``cwd``, for at most ``timeout`` seconds. Raises a :class:`StepError` when it
    cannot read the file.
    """
    listing = ("config", "--file", str(file), "--no-includes", "--list", "--null")
    listed = call(*listing, cwd=cwd, timeout=timeout)
    pairs = (entry.partition("\n") for entry in listed.split("\0") if entry)
    return [(name, value) for name, _, value in pairs]


def _git(
    *args: str, where: str, env: GitEnvironment, timeout: float, cwd: Path | None, show: bool
) -> str:
    program = shutil.which("git")
    if program is None:
        raise ConfigurationError("there is no git on PATH: install it (apt-get install git)")
    if show:
        logger.info("git %s", shlex.join(args))
    done = process.run(
        [program, *args],
        cwd=cwd,
        env=env.variables,
        timeout=timeout,
        pass_fds=env.descriptors,
        keep=None,  # a large repository has megabytes of refs, and each one counts
    )
    if done.timed_out:
        raise ToolError(f"git {args[0]} of {where} took over {timeout:g} s", reason=Reason.NETWORK)
    if done.code:
        raise translated(done.output, f"git {args[0]} of {where} failed", cwd)
    return done.output


def _known_refs(refs: Mapping[str, str]) -> str:
    branches = [name.removeprefix("refs/heads/") for name in refs if name.startswith("refs/heads/")]
    return f" (branches: {', '.join(branches[:_SHOWN_BRANCHES])})" if branches else ""
