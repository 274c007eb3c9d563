"""Fetch a revision into an empty directory, check it out, and verify the result."""

from __future__ import annotations

import logging
import os
import re
import shutil
import stat
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.git import commands, extra_refs, lfs, submodules
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stepkit.git.environment import Access

logger = logging.getLogger(__name__)

_SHOWN: Final = 8  # names in a message
_FILTER: Final = re.compile(r"blob:none|blob:limit=\d+[kmg]?")  # git status needs trees
_SHA256: Final = 64  # hexadecimal digits
_HAVE: Final = "refs/stepkit/have"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to fetch and check out of a repository.

    ``depth`` is a number of commits, 0 for all. ``submodule_paths`` names some of the submodules,
    () means all. ``sparse`` holds patterns as in ``.git/info/sparse-checkout``. ``pointers``
    leaves the pointers of Git LFS in place of the files.
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

    Objects of the older checkout ``have`` are not fetched again. Returns the commit. Raises a
    :class:`StepError`: :class:`ToolError` if another attempt may succeed.
    """
    local = partial(commands.run, cwd=into, timeout=access.timeout, show=access.verbose)
    local("init", "--quiet", "--template=", ".")
    local("remote", "add", "origin", access.url)
    shared = have is not None and _share_objects(have, into, wanted, local)
    commit = _fetch_commit(access, wanted, into, local)
    if shared:
        local("update-ref", "-d", _HAVE)
    if wanted.sparse:
        local("config", "core.sparseCheckout", "true")
        with atomic_files.explaining(f"cannot write to {into}"):
            patterns = "".join(f"{pattern}\n" for pattern in wanted.sparse)
            (into / ".git/info").mkdir(exist_ok=True)
            (into / ".git/info/sparse-checkout").write_text(patterns)
    # In a partial clone, and with Git LFS, the files are fetched only now.
    later = wanted.filter or access.lfs
    git: Callable[..., str] = partial(commands.run_remote, access, cwd=into) if later else local
    git("checkout", "--quiet", "--detach", commit)
    if commands.head_commit(into) != commit:  # a proxy's login page can pass for a repository
        raise ToolError(f"{access.url} did not send commit {commit}", reason=Reason.NETWORK)
    if wanted.sparse and all(path.name == ".git" for path in into.iterdir()):
        listed = local("ls-tree", "--name-only", "-z", "HEAD").split("\0")[:-1]
        raise ConfigurationError(
            f"nothing in the repository fits {', '.join(wanted.sparse)}: "
            f"it holds {', '.join(listed[:_SHOWN])}"
        )
    if wanted.submodules:
        submodules.fetch(access, into, paths=wanted.submodule_paths, depth=wanted.depth)
    if not wanted.pointers:
        lfs.check_files(access, into)
    local("config", f"{commands.MARK}.commit", commit)
    if extras := extra_refs.digest(into):
        local("config", f"{commands.MARK}.extras", extras)
    return commit


def committer_date(checkout: Path, *, timeout: float) -> int:
    """Return the committer date of the checked-out commit, in seconds since 1970.

    ``timeout`` is in seconds. Raises a :class:`StepError`.
    """
    return int(commands.run("log", "-1", "--format=%ct", cwd=checkout, timeout=timeout))


def _fetch_commit(access: Access, wanted: Wanted, into: Path, local: Callable[..., str]) -> str:
    fetch = ["fetch", "--quiet", "--force", "--update-head-ok", "--no-recurse-submodules"]
    fetch += ["--update-shallow", "--tags" if wanted.tags else "--no-tags"]
    fetch += [f"--depth={wanted.depth}"] if wanted.depth else []
    fetch += [f"--filter={wanted.filter}"] if wanted.filter else []
    fetch += ["--end-of-options", "origin"]
    if wanted.refspecs:
        commands.run_remote(access, *fetch, *wanted.refspecs, cwd=into)
        if found := _find_fetched(access, wanted.revision, into, local):
            return found
    name = commands.resolve(access, wanted.revision)
    if len(name) == _SHA256 and commands.FULL_COMMIT.fullmatch(name):
        local("config", "core.repositoryFormatVersion", "1")
        local("config", "extensions.objectFormat", "sha256")
    commands.run_remote(access, *fetch, name, cwd=into)
    try:
        return local("rev-parse", "--quiet", "--verify", f"{name}^{{commit}}").strip()
    except ConfigurationError as error:
        raise ConfigurationError(f"{name} of {access.url} is not a commit") from error


def _find_fetched(
    access: Access, revision: str, into: Path, local: Callable[..., str]
) -> str | None:
    """Return the commit of ``revision`` if the refspecs have fetched it, else None."""
    listed = local("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    refs = dict(line.split(" ", 1) for line in listed)
    if revision == "HEAD":
        fetched = (into / ".git/FETCH_HEAD").read_text().splitlines()
        name = fetched[0].partition("\t")[0] if len(fetched) == 1 else None
    elif commands.FULL_COMMIT.fullmatch(revision):
        name = revision.lower()
    else:
        remotes = (f"refs/remotes/origin/{revision}", f"refs/remotes/{revision}")
        found = (refs[name] for name in remotes if name in refs)
        name = commands.find_commit(refs, revision, access.url) or next(found, None)
    try:
        return local("rev-parse", "--quiet", "--verify", f"{name}^{{commit}}").strip()
    except ConfigurationError:  # it was not fetched
        return None


def _share_objects(have: Path, into: Path, wanted: Wanted, local: Callable[..., str]) -> bool:
    """Give the new repository the objects of the older one, which are then not fetched again.

    Returns whether it did. An older repository that is incomplete (shallow, or a partial clone) is
    not used where the server would leave out objects that it does not have.
    """
    shallow = have / ".git/shallow"
    partial_clone = any("promisor" in name for name, _ in extra_refs.read_settings(have))
    commit = commands.head_commit(have)
    if not commit or partial_clone or (not wanted.depth and shallow.exists()):
        return False
    with atomic_files.explaining(f"cannot share what {have} holds"):
        _link_files(have / ".git", into / ".git")
    local("update-ref", _HAVE, commit)
    return True


def _link_files(source: Path, target: Path) -> None:
    """Link, or copy, the objects of a repository to another, but no file that a link leads to.

    A notebook may have made the link, to a secret that this process may read. Directories are
    opened one in the other, so one that a link replaces meanwhile is not followed either.
    """
    for folder, folders, names, handle in os.fwalk(source):
        inside = os.path.relpath(folder, source)
        if inside == ".":
            folders[:], names[:] = {"objects"} & {*folders}, {"shallow"} & {*names}
        folders[:] = [name for name in folders if name != "info"]  # it may name another repository
        (target / inside).mkdir(exist_ok=True)
        for name in names:
            kind = os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode
            if stat.S_ISREG(kind) and not name.startswith("tmp_"):
                _link_or_copy(name, target / inside / name, handle)


def _link_or_copy(name: str, target: Path, directory: int) -> None:
    try:
        os.link(name, target, src_dir_fd=directory, follow_symlinks=False)
    except OSError:  # another user's file, or a file system without links
        source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        with os.fdopen(source, "rb") as file, target.open("xb") as copy:
            shutil.copyfileobj(file, copy)
