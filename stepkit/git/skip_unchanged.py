"""Tell whether a checkout is still as stepkit made it, without running anything of its own.

A setting in ``.git/config`` can name a program, so git looks at a checkout only after its
settings turned out to be the few that a fresh clone has.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, StepError
from stepkit.git import commands, extra_refs
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
                       "modules", "lfs"}  # fmt: skip
_FRESH_INFO: Final = {"exclude", "sparse-checkout"}


def made_by_stepkit(checkout: Path) -> bool:
    """Tell whether :func:`stepkit.git.fetch.check_out` made this checkout.

    What cannot be read is somebody else's. Raises :class:`ConfigurationError` without git.
    """
    try:
        settings = extra_refs.settings(checkout)
    except ConfigurationError as error:
        if "no git on PATH" in str(error):
            raise
        return False
    return any(name.startswith(f"{commands.MARK}.") for name, _ in settings)


def changed(checkout: Path, *, beside: Collection[str] = (), untracked: bool = True) -> bool:
    """Tell whether a checkout may hold anything but its commit; a doubt counts as a change.

    Edits, new files (ignored ones too), commits, branches, stashes and settings are changes. New
    files are none if ``untracked`` is false, nor are the entries ``beside`` the checkout's own.
    """
    try:
        return not (
            _has_fresh_repository(checkout)
            and _has_fresh_files(checkout, beside, untracked=untracked)
        )
    except (StepError, OSError, ValueError):  # a broken repository: its files may be worth a lot
        return True


def usable(checkout: Path) -> bool:
    """Tell whether a later fetch may build on what this checkout holds."""
    try:
        return made_by_stepkit(checkout) and _has_fresh_settings(checkout)
    except (StepError, OSError, ValueError):
        return False


def tracked(checkout: Path) -> frozenset[str]:
    """Return the files that the older checkout's own commit put there; none of a broken one's."""
    try:
        if not _has_fresh_settings(checkout):
            return frozenset()
        entries = commands.call("ls-files", "-z", cwd=checkout, timeout=extra_refs.TIMEOUT)
    except (StepError, OSError, ValueError):
        return frozenset()
    return frozenset(name for name in entries.split("\0") if name)


def _has_fresh_settings(checkout: Path) -> bool:
    settings = extra_refs.settings(checkout)
    return not checkout.is_symlink() and all(
        _FRESH_SETTINGS.fullmatch(name) for name, _ in settings
    )


def _has_fresh_repository(checkout: Path) -> bool:
    repository = checkout / ".git"
    settings = dict(extra_refs.settings(checkout))
    hooks, info, logs = repository / "hooks", repository / "info", repository / "logs"
    return (
        _has_fresh_settings(checkout)
        and {path.name for path in repository.iterdir()} <= _FRESH_FILES
        and all(path.suffix == ".sample" for path in (hooks.iterdir() if hooks.exists() else ()))
        and {path.name for path in (info.iterdir() if info.exists() else ())} <= _FRESH_INFO
        and settings.get(f"{commands.MARK}.commit") == (repository / "HEAD").read_text().strip()
        # One move each: our own.
        and all(len(p.read_text().splitlines()) == 1 for p in logs.rglob("*") if p.is_file())
        and settings.get(f"{commands.MARK}.extras", "") == extra_refs.digest(checkout)
    )


def _has_fresh_files(checkout: Path, beside: Collection[str], *, untracked: bool) -> bool:
    return _looks_at_all(checkout) and all(
        name.partition("/")[0] in beside for name in _differing(checkout, untracked=untracked)
    )


def _looks_at_all(checkout: Path) -> bool:
    """Tell whether git looks at each file; those that a sparse checkout leaves out must be out."""
    sparse = dict(extra_refs.settings(checkout)).get("core.sparsecheckout") == "true"
    expected = ("H ", "S ") if sparse else ("H ",)
    listed = commands.call(
        "ls-files", "-v", "--stage", "-z", cwd=checkout, timeout=extra_refs.TIMEOUT
    )
    for entry in filter(None, listed.split("\0")):
        flags, _, name = entry.partition("\t")
        if not flags.startswith(expected):
            return False
        if flags.startswith("S ") and (checkout / name).exists():
            return False
    return True


def _differing(checkout: Path, *, untracked: bool) -> list[str]:
    """Return the files that are not as the commit has them, and those that it does not have."""
    look = ["status", "--porcelain", "-z"]
    look += ["--ignored", "--untracked-files=all"] if untracked else ["--untracked-files=no"]
    # git would run in a submodule, by the submodule's settings
    look += ["--ignore-submodules=all"]
    lfs = (checkout / ".git/lfs").is_dir() and git_lfs.installed()
    told = commands.call(*look, cwd=checkout, timeout=extra_refs.TIMEOUT, lfs=lfs).split("\0")
    return [line[3:] for line in told if line]
