"""Find out whether a checkout still is as stepkit made it, without running its programs.

A setting in ``.git/config`` can name a program. So git examines a checkout only after its settings
turned out to be among the few that a fresh clone has.
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, StepError
from stepkit.git import commands, extra_refs, staged_files
from stepkit.git import lfs as git_lfs

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_FRESH_SETTINGS: Final = re.compile(
    r"core\.(repositoryformatversion|filemode|bare|logallrefupdates|symlinks|ignorecase"
    r"|precomposeunicode|sparsecheckout)|extensions\.(objectformat|partialclone)"
    r"|remote\.origin\.(url|fetch|promisor|partialclonefilter)|submodule\..*\.(url|active)"
    rf"|lfs\.repositoryformatversion|{commands.MARK}\.(commit|extras)"
)
_FRESH_FILES: Final = {"HEAD", "config", "description", "hooks", "info", "objects", "refs",
                       "index", "logs", "shallow", "FETCH_HEAD", "branches", "packed-refs",
                       "modules", "lfs", staged_files.RECORD}  # fmt: skip
_FRESH_INFO: Final = {"exclude", "sparse-checkout"}


def made_by_stepkit(checkout: Path) -> bool:
    """Return whether :func:`stepkit.git.fetch.check_out` made this checkout.

    A checkout that cannot be read counts as not made by stepkit. Raises
    :class:`ConfigurationError` without git.
    """
    try:
        settings = extra_refs.read_settings(checkout)
    except ConfigurationError:
        if shutil.which("git") is None:
            raise
        return False
    return any(name.startswith(f"{commands.MARK}.") for name, _ in settings)


def has_changes(checkout: Path, *, ignore: Collection[str] = (), untracked: bool = True) -> bool:
    """Return whether a checkout may hold more than its commit; a doubt counts as a change.

    Edits, new files (ignored ones too), commits, branches, stashes and settings are changes. New
    files do not count if ``untracked`` is false. Entries named in ``ignore`` do not count, nor do
    files that a step copied there and that are still the same. An empty directory has no changes.
    """
    command = ["status", "--porcelain", "-z"]
    command += ["--ignored", "--untracked-files=all"] if untracked else ["--untracked-files=no"]
    command += ["--ignore-submodules=all"]  # in a submodule, git would apply the settings there
    try:
        if checkout.is_dir() and not checkout.is_symlink() and not any(checkout.iterdir()):
            return False
        if not _has_fresh_repository(checkout) or not _is_examined_whole(checkout):
            return True
        lfs = (checkout / ".git/lfs").is_dir() and git_lfs.installed()
        entries = commands.run(*command, cwd=checkout, timeout=extra_refs.TIMEOUT, lfs=lfs)
        changes = [(entry[:2], entry[3:]) for entry in entries.split("\0") if entry]
        return any(
            name.partition("/")[0] not in ignore
            and not staged_files.is_as_staged(checkout, status, name)
            for status, name in changes
        )
    except (StepError, OSError, ValueError):  # a broken repository may still have valuable files
        return True


def usable(checkout: Path) -> bool:
    """Return whether a later fetch may reuse the objects of this checkout."""
    try:
        return made_by_stepkit(checkout) and _has_fresh_settings(checkout)
    except (StepError, OSError, ValueError):
        return False


def tracked_files(checkout: Path) -> frozenset[str]:
    """Return the files that the commit of the checkout has; none if it cannot be read."""
    try:
        if not _has_fresh_settings(checkout):
            return frozenset()
        entries = commands.run("ls-files", "-z", cwd=checkout, timeout=extra_refs.TIMEOUT)
    except (StepError, OSError, ValueError):
        return frozenset()
    return frozenset(name for name in entries.split("\0") if name)


def _has_fresh_settings(checkout: Path) -> bool:
    settings = extra_refs.read_settings(checkout)
    return not checkout.is_symlink() and all(
        _FRESH_SETTINGS.fullmatch(name) for name, _ in settings
    )


def _has_fresh_repository(checkout: Path) -> bool:
    repository = checkout / ".git"
    settings = dict(extra_refs.read_settings(checkout))
    hooks, info, logs = repository / "hooks", repository / "info", repository / "logs"
    return (
        _has_fresh_settings(checkout)
        and {path.name for path in repository.iterdir()} <= _FRESH_FILES
        and all(path.suffix == ".sample" for path in (hooks.iterdir() if hooks.exists() else ()))
        and {path.name for path in (info.iterdir() if info.exists() else ())} <= _FRESH_INFO
        and settings.get(f"{commands.MARK}.commit") == (repository / "HEAD").read_text().strip()
        # Each log has one line, of the checkout that stepkit made.
        and all(len(p.read_text().splitlines()) == 1 for p in logs.rglob("*") if p.is_file())
        and settings.get(f"{commands.MARK}.extras", "") == extra_refs.digest(checkout)
    )


def _is_examined_whole(checkout: Path) -> bool:
    """Return whether git status examines each file that a sparse checkout does not leave out.

    A file that it leaves out must be absent. A flag in the index (assume-unchanged,
    skip-worktree) can hide a file from git status.
    """
    sparse = dict(extra_refs.read_settings(checkout)).get("core.sparsecheckout") == "true"
    expected = ("H ", "S ") if sparse else ("H ",)
    listed = commands.run(
        "ls-files", "-v", "--stage", "-z", cwd=checkout, timeout=extra_refs.TIMEOUT
    )
    for entry in filter(None, listed.split("\0")):
        flags, _, name = entry.partition("\t")
        if not flags.startswith(expected):
            return False
        if flags.startswith("S ") and (checkout / name).exists():
            return False
    return True
