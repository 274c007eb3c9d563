"""Tell whether a checkout is still as stepkit made it, without running anything of its own.

A setting in ``.git/config`` can name a program, so git looks at a checkout only after its
settings turned out to be the few that a fresh clone has.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, StepError
from stepkit.tools import git

if TYPE_CHECKING:
    from pathlib import Path

_TIMEOUT: Final = 600.0  # seconds; a checkout on a slow disk that takes longer counts as changed
_FRESH_SETTINGS: Final = re.compile(
    r"core\.(repositoryformatversion|filemode|bare|logallrefupdates|symlinks|ignorecase"
    rf"|precomposeunicode)|extensions\.objectformat|remote\.origin\.(url|fetch)|{git.MARK}\.commit"
)
_FRESH_FILES: Final = {"HEAD", "config", "description", "hooks", "info", "objects", "refs",
                       "index", "logs", "shallow", "FETCH_HEAD", "branches"}  # fmt: skip
_SUBMODULE: Final = "160000"


def made_by_stepkit(checkout: Path) -> bool:
    """Tell whether :func:`stepkit.tools.git.check_out` made this checkout.

    What cannot be read is somebody else's. Raises :class:`ConfigurationError` without git.
    """
    return any(name.startswith(f"{git.MARK}.") for name, _ in _settings(checkout))


def changed(checkout: Path) -> bool:
    """Tell whether a checkout may hold anything but its commit; a doubt counts as a change.

    Edits, new files (ignored ones too), commits, branches, stashes and settings are changes.
    """
    try:
        return not (_has_fresh_repository(checkout) and _has_fresh_files(checkout))
    except (StepError, OSError, ValueError):  # a broken repository: its files may be worth a lot
        return True


def _settings(checkout: Path) -> list[tuple[str, str]]:
    config = checkout / ".git/config"
    if config.parent.is_symlink() or not config.is_file():
        return []
    listing = ("config", "--file", str(config), "--no-includes", "--list", "--null")
    try:
        listed = git.call(*listing, cwd=checkout.parent, timeout=_TIMEOUT)
    except ConfigurationError as error:
        if "no git on PATH" in str(error):
            raise
        return []
    pairs = (entry.partition("\n") for entry in listed.split("\0") if entry)
    return [(name, value) for name, _, value in pairs]


def _has_fresh_repository(checkout: Path) -> bool:
    settings = _settings(checkout)
    repository = checkout / ".git"
    commit = dict(settings).get(f"{git.MARK}.commit")
    hooks, info = repository / "hooks", repository / "info"
    return (
        not checkout.is_symlink()
        and all(_FRESH_SETTINGS.fullmatch(name) for name, _ in settings)
        and {path.name for path in repository.iterdir()} <= _FRESH_FILES
        and all(path.suffix == ".sample" for path in (hooks.iterdir() if hooks.exists() else ()))
        and all(path.name == "exclude" for path in (info.iterdir() if info.exists() else ()))
        and commit == (repository / "HEAD").read_text().strip()
        and len((repository / "logs/HEAD").read_text().splitlines()) == 1  # one move: our own
    )


def _has_fresh_files(checkout: Path) -> bool:
    if git.call("for-each-ref", cwd=checkout, timeout=_TIMEOUT):
        return False
    for entry in git.call("ls-files", "-v", "--stage", "-z", cwd=checkout, timeout=_TIMEOUT).split(
        "\0"
    ):
        flags, _, name = entry.partition("\t")
        if entry and not flags.startswith("H "):  # git was told not to look at this file
            return False
        if _SUBMODULE in flags.split() and any((checkout / name).iterdir()):
            return False
    look = ("status", "--porcelain", "--ignored", "--untracked-files=all")
    # git would run in a submodule, by the submodule's settings
    return not git.call(*look, "--ignore-submodules=all", cwd=checkout, timeout=_TIMEOUT)
