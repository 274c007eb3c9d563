"""Run git: GitPython reads the commit of a checkout, the git program does everything else.

GitPython cannot give a network call a deadline or end its helper processes, so the program is run
by :mod:`stepkit.system.process`.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
import signal
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.git import server_answer
from stepkit.git.environment import environment, without_server
from stepkit.git.errors import translate, web_page
from stepkit.system import process, tool_evidence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from io import BufferedReader
    from pathlib import Path

    from stepkit.git.environment import Access, GitEnvironment

logger = logging.getLogger(__name__)

FULL_COMMIT: Final = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?", re.IGNORECASE)
_SHOWN_BRANCHES: Final = 8
_OLDEST: Final = (2, 32)  # the first that reads GIT_CONFIG_GLOBAL: the user's settings do not apply

# The section of .git/config that marks a checkout as stepkit's, so that a later run may replace it.
MARK: Final = "stepkit"

SUBMODULE: Final = "160000"  # mode of a submodule in a tree or an index


def resolve(access: Access, revision: str) -> str:
    """Return the commit that the server has under ``revision``.

    ``HEAD`` is the server's default branch. Raises :class:`ConfigurationError` when the server
    has no such revision, or both a branch and a tag of that name at different commits.
    """
    if FULL_COMMIT.fullmatch(revision):
        return revision.lower()
    listed = run_remote(access, "ls-remote", "--end-of-options", access.url)
    pairs = (line.split("\t", 1) for line in listed.splitlines() if "\t" in line)
    refs = {name: commit for commit, name in pairs}
    if found := find_commit(refs, revision, access.url):
        return found
    heads = [name.removeprefix("refs/heads/") for name in refs if name.startswith("refs/heads/")]
    hint = f" (branches: {', '.join(heads[:_SHOWN_BRANCHES])})" if heads else ""
    hint = hint if refs else ": it is empty"
    raise ConfigurationError(
        f"{access.url} has no branch or tag {revision!r}{hint}", reason=Reason.NOT_FOUND
    )


def find_commit(refs: Mapping[str, str], revision: str, url: str) -> str | None:
    """Return the commit of ``revision`` among ``refs``, full names and commits; None if missing.

    Raises :class:`ConfigurationError` when a branch and a tag of that name differ.
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


def head_commit(checkout: Path) -> str | None:
    """Return the commit that is checked out, or None if there is none."""
    with suppress(OSError, ValueError):  # what stepkit checks out is on no branch
        if FULL_COMMIT.fullmatch(detached := (checkout / ".git/HEAD").read_text().strip()):
            return detached
    import git

    try:
        # GitPython reads the files: the git program would apply the checkout's settings.
        with git.Repo(checkout) as repo:
            return str(git.HEAD.dereference_recursive(repo, "HEAD"))
    except (git.InvalidGitRepositoryError, git.NoSuchPathError, ValueError):
        return None


def run_remote(access: Access, *args: str, cwd: Path | None = None) -> str:
    """Run git with what it needs to reach the server, and return what it printed.

    Raises a :class:`StepError`: :class:`ToolError` if another attempt may succeed.
    """
    with environment(access) as env:
        return _run(
            *args, cwd=cwd, env=env, timeout=access.timeout, where=access.url, show=access.verbose
        )


def run(*args: str, cwd: Path, timeout: float, lfs: bool = False, show: bool = False) -> str:
    """Run git in ``cwd`` without a server, and return what it printed.

    ``timeout`` is in seconds. Raises a :class:`StepError`.
    """
    env = without_server(lfs=lfs)
    return _run(*args, cwd=cwd, env=env, timeout=timeout, where=str(cwd), show=show)


@contextmanager
def all_objects(checkout: Path, *, timeout: float) -> Iterator[BufferedReader]:
    """Yield every object of a checkout as ``git cat-file --batch`` prints it, in any order.

    ``timeout`` is in seconds. Raises a :class:`StepError`, at the end of the block for an object
    that cannot be read.
    """
    command = [_program(), "cat-file", "--batch-all-objects", "--batch", "--buffer", "--unordered"]
    env = without_server().variables
    with process.streaming(command, cwd=checkout, env=env, timeout=timeout) as printed:
        yield printed


def read_settings(file: Path, *, cwd: Path, timeout: float) -> list[tuple[str, str]]:
    """Return the names and values in a git configuration file, without those of included files.

    git runs in ``cwd``, for at most ``timeout`` seconds. Raises a :class:`StepError` when it
    cannot read the file.
    """
    listing = ("config", "--file", str(file), "--no-includes", "--list", "--null")
    listed = run(*listing, cwd=cwd, timeout=timeout)
    pairs = (entry.partition("\n") for entry in listed.split("\0") if entry)
    return [(name, value) for name, _, value in pairs]


def _program() -> str:
    program = shutil.which("git")
    if program is None:
        raise ConfigurationError("there is no git on PATH: install it (apt-get install git)")
    _check_version(program)
    return program


@cache
def _check_version(program: str) -> None:
    said = process.run([program, "version"], timeout=60).output
    found = re.search(r"(\d+)\.(\d+)\S*", said)
    if found and (int(found[1]), int(found[2])) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise ConfigurationError(
            f"git {found[0]} ({program}) is too old: install {oldest} or newer"
        )


def _read_trace(env: GitEnvironment) -> str:
    if env.trace is None:
        return ""
    return os.pread(env.trace, os.fstat(env.trace).st_size, 0).decode(errors="replace")


def _run(
    *args: str, where: str, env: GitEnvironment, timeout: float, cwd: Path | None, show: bool
) -> str:
    program = _program()
    if show:
        logger.info("git %s", shlex.join(args))
    done = process.run(
        [program, *args],
        cwd=cwd,
        env=env.variables,
        timeout=timeout,
        pass_fds=env.descriptors,
        keep=None,  # a large repository has megabytes of refs, and all of them are needed
    )
    answer = server_answer.read(_read_trace(env))
    if done.timed_out:
        message = f"git {args[0]} of {where} took over {timeout:g} s"
        evidence = tool_evidence.of_output(done.output, message=message)
        raise ToolError(message, reason=Reason.NETWORK, evidence=evidence)
    if done.code < 0:
        message = f"git {args[0]} of {where} was killed by {signal.Signals(-done.code).name}"
        raise ToolError(message)
    if done.code:
        raise translate(done.output, f"git {args[0]} of {where} failed", cwd, answer)
    if answer.is_web_page and args[0] == "ls-remote" and not done.output:
        # git takes a page for an empty repository.
        raise web_page(f"git {args[0]} of {where} failed")
    return done.output
