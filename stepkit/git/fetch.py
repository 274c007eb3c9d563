"""Fetch a revision into an empty directory, check it out, and verify what came."""

from __future__ import annotations

import logging
import os
import re
import shutil
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.git import commands, extra_refs, lfs
from stepkit.git import submodules as git_submodules
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stepkit.git.environment import Access

logger = logging.getLogger(__name__)

_SHOWN: Final = 8  # directories that a message names
_FILTER: Final = re.compile(r"blob:none|blob:limit=\d+[kmg]?")  # trees are what git status needs
_HAVE: Final = "refs/stepkit/have"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What of a repository is fetched and checked out.

    ``depth`` is a number of commits, 0 for all. ``submodule_paths`` names some of the submodules,
    () means all. ``sparse`` holds patterns as in ``.git/info/sparse-checkout``. ``pointers`` takes
    those of Git LFS for the files.
    """

    revision: str = "HEAD"
    refspecs: tuple[str, ...] = ()
    depth: int = 1
    tags: bool = False
    filter: str = ""
    sparse: tuple[str, ...] = ()
    pointers: bool = False
    submodules: bool = False
    submodule_paths: tuple[str, ...] = ()


def check_filter(name: str) -> None:
    """Refuse a partial clone without trees. Raises :class:`ConfigurationError`."""
    if name and not _FILTER.fullmatch(name):
        raise ConfigurationError(f"--filter is {name!r}: write blob:none, or blob:limit=1m")


def check_out(access: Access, wanted: Wanted, into: Path, *, have: Path | None = None) -> str:
    """Fetch what is ``wanted`` into the empty directory ``into``, check it out, and verify it.

    What the older checkout ``have`` holds is not fetched again. Returns the commit. Raises a
    :class:`StepError`: :class:`ToolError` for what another try may mend.
    """
    local = partial(commands.call, cwd=into, timeout=access.timeout, show=access.verbose)
    local("init", "--quiet", "--template=", ".")
    local("remote", "add", "origin", access.url)
    if have := have if have and _can_share(have, wanted) else None:
        _share(have, into, local)
    commit = _fetched(access, wanted, into, local)
    if have:
        local("update-ref", "-d", _HAVE)
    if wanted.sparse:
        _restrict(into, wanted.sparse, local)
    # A partial clone, and files in Git LFS, come from the server only now.
    later = wanted.filter or access.lfs
    ask: Callable[..., str] = partial(commands.ask, access, cwd=into) if later else local
    ask("checkout", "--quiet", "--detach", commit)
    if commands.head(into) != commit:  # a proxy's login page can pass for an empty repository
        raise ToolError(f"{access.url} did not send commit {commit}", reason=Reason.NETWORK)
    if wanted.sparse:
        _check_restricted(into, wanted.sparse, local)
    if wanted.submodules:
        git_submodules.fetch(access, into, paths=wanted.submodule_paths, depth=wanted.depth)
    if not wanted.pointers:
        lfs.check_files(access, into)
    local("config", f"{commands.MARK}.commit", commit)
    if extras := extra_refs.digest(into):
        local("config", f"{commands.MARK}.extras", extras)
    return commit


def committer_date(checkout: Path, *, timeout: float) -> int:
    """Return when the commit that is checked out was made, in seconds since 1970.

    ``timeout`` is in seconds, too. Raises a :class:`StepError`.
    """
    return int(commands.call("log", "-1", "--format=%ct", cwd=checkout, timeout=timeout))


def _fetched(access: Access, wanted: Wanted, into: Path, local: Callable[..., str]) -> str:
    fetch = ["fetch", "--quiet", "--force", "--update-head-ok", "--no-recurse-submodules"]
    fetch += ["--tags" if wanted.tags else "--no-tags"]
    fetch += [f"--depth={wanted.depth}"] if wanted.depth else []
    fetch += [f"--filter={wanted.filter}"] if wanted.filter else []
    fetch += ["--end-of-options", "origin"]
    if wanted.refspecs:
        commands.ask(access, *fetch, *wanted.refspecs, cwd=into)
        if found := _among_fetched(access, wanted.revision, into, local):
            return found
    name = commands.resolve(access, wanted.revision)
    commands.ask(access, *fetch, name, cwd=into)
    try:
        return local("rev-parse", "--quiet", "--verify", f"{name}^{{commit}}").strip()
    except ConfigurationError as error:
        raise ConfigurationError(f"{name} of {access.url} is no commit") from error


def _among_fetched(
    access: Access, revision: str, into: Path, local: Callable[..., str]
) -> str | None:
    """Return the commit that the refspecs brought under ``revision``, if they did."""
    listed = local("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    refs = dict(line.split(" ", 1) for line in listed)
    if revision == "HEAD":
        brought = (into / ".git/FETCH_HEAD").read_text().splitlines()
        name = brought[0].partition("\t")[0] if len(brought) == 1 else None
    elif commands.FULL_COMMIT.fullmatch(revision):
        name = revision.lower()
    else:
        remotes = (f"refs/remotes/origin/{revision}", f"refs/remotes/{revision}")
        found = (refs[name] for name in remotes if name in refs)
        name = commands.choose(refs, revision, access.url) or next(found, None)
    try:
        return local("rev-parse", "--quiet", "--verify", f"{name}^{{commit}}").strip()
    except ConfigurationError:  # not among them: the server is asked
        return None


def _can_share(have: Path, wanted: Wanted) -> bool:
    """Tell whether a server that believes we have all of ``have`` would leave nothing out."""
    if not wanted.depth and (have / ".git/shallow").exists():
        return False
    return not any("promisor" in name for name, _ in extra_refs.settings(have))


def _share(have: Path, into: Path, local: Callable[..., str]) -> None:
    """Give the new repository what the older one has, so that only the rest is fetched."""
    commit = commands.head(have)
    if not commit:
        return
    with atomic_files.explaining(f"cannot share what {have} holds"):
        shutil.copytree(
            have / ".git/objects",
            into / ".git/objects",
            copy_function=_link,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("info", "tmp_*"),  # info may name another repository
        )
    shallow = have / ".git/shallow"
    if shallow.is_file():
        atomic_files.write_atomically(into / ".git/shallow", shallow.read_bytes())
    local("update-ref", _HAVE, commit)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another user's file, or a file system without links
        shutil.copy2(source, target)


def _restrict(into: Path, patterns: tuple[str, ...], local: Callable[..., str]) -> None:
    local("config", "core.sparseCheckout", "true")
    with atomic_files.explaining(f"cannot write to {into}"):
        (into / ".git/info").mkdir(exist_ok=True)
        (into / ".git/info/sparse-checkout").write_text("".join(f"{one}\n" for one in patterns))


def _check_restricted(into: Path, patterns: tuple[str, ...], local: Callable[..., str]) -> None:
    if any(path.name != ".git" for path in into.iterdir()):
        return
    listed = local("ls-tree", "--name-only", "-z", "HEAD").split("\0")[:-1]
    raise ConfigurationError(
        f"nothing in the repository fits {', '.join(patterns)}: "
        f"it holds {', '.join(listed[:_SHOWN])}"
    )
