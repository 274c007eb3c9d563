r"""Check out one revision of a git repository.

The checkout appears at its destination all at once: if anything goes wrong, an earlier
checkout there stays as it was. An earlier checkout that was changed since (edited files, new
files, ignored ones too, commits, branches, stashes, settings) is kept beside the destination as
NAME.backup-TIME.

For example:

    stepkit git-clone --url https://github.com/rapidsai/notebooks --revision main \
        --destination work/source
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from stepkit.errors import ConfigurationError
from stepkit.options import DURATION, FromEnv
from stepkit.tools import files, git, git_checkout
from stepkit.tools.retry import retrying

logger = logging.getLogger(__name__)

_LONGEST_NAME = 255  # bytes, of a file on Linux


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to clone, and to where."""

    url: Annotated[str, "repository to clone (https://, http:// or file://), without credentials"]
    revision: Annotated[str, "branch, tag or full commit; HEAD is the default branch"] = "HEAD"
    destination: Annotated[Path, "directory for the checkout; replaces an older checkout"]
    attempts: Annotated[int, "how often to try when the server or network fails"] = 5
    timeout: Annotated[float, "limit for each git command", DURATION] = 600.0
    username: Annotated[str, "user name that goes with the token"] = "x-access-token"
    token_file: Annotated[Path | None, "file that holds the token, instead of GIT_TOKEN"] = None
    token: Annotated[str | None, "token for a private repository", FromEnv("GIT_TOKEN")] = None


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What was checked out."""

    commit: Annotated[str, "full commit that was checked out"]
    checkout: Annotated[Path, "absolute path of the checkout"]
    url: Annotated[str, "where it came from"]
    backup: Annotated[Path | None, "where the changed older checkout went, if there was one"] = None


def run(options: Options) -> Outputs:
    """Clone beside the destination, then move the checkout into place."""
    if options.attempts < 1:
        raise ConfigurationError(f"--attempts is {options.attempts}: it must be 1 or more")
    credential = _credential(options)
    git.check_url(options.url, credential)
    git.check_revision(options.revision)
    destination = Path(os.path.abspath(options.destination))  # noqa: PTH100 - follows no symlink
    with files.locked(destination.parent / f".{destination.name}.lock"):
        _check_replaceable(destination)
        files.remove_scratch(destination)
        backup = _backup_of(destination)
        with files.replacing(destination, backup=backup, keep=_holds_work) as checkout:
            commit = retrying(options.attempts)(_fetch, options, checkout, credential)
    logger.info("checked out %s of %s at %s", options.revision, options.url, commit)
    kept = backup if os.path.lexists(backup) else None
    if kept:
        logger.warning("the older checkout had changes: kept as %s", kept)
    return Outputs(commit=commit, checkout=destination, url=options.url, backup=kept)


def _fetch(options: Options, checkout: Path, credential: git.Credential | None) -> str:
    files.empty(checkout)  # of what an earlier attempt left
    commit = git.resolve(
        options.url, options.revision, credential=credential, timeout=options.timeout
    )
    return git.check_out(
        options.url, commit, checkout, credential=credential, timeout=options.timeout
    )


def _credential(options: Options) -> git.Credential | None:
    token = options.token
    if options.token_file:
        with files.explaining(f"cannot read the token file {options.token_file}"):
            content = options.token_file.read_bytes()
        try:
            token = content.decode()
        except UnicodeDecodeError as error:
            raise ConfigurationError(
                f"cannot read the token file {options.token_file}: it is no UTF-8 text"
            ) from error
    token = token.strip() if token else ""
    if re.search(r"[\x00-\x1f\x7f]", token + options.username):
        raise ConfigurationError("the token or user name holds a line break or control character")
    return git.Credential(username=options.username, token=token) if token else None


def _check_replaceable(destination: Path) -> None:
    if destination.is_symlink():
        raise ConfigurationError(f"{destination} is a symbolic link: name the directory itself")
    if files.is_mount_point(destination):
        raise ConfigurationError(f"{destination} is a mount point: name a directory inside it")
    if not destination.exists():
        return
    if not destination.is_dir():
        raise ConfigurationError(f"{destination} is a file: name a directory for the checkout")
    if _is_filled(destination) and not git_checkout.made_by_stepkit(destination):
        raise ConfigurationError(
            f"{destination} holds somebody's work, no checkout made by stepkit: "
            "not replacing it; name another directory or move it away"
        )


def _is_filled(directory: Path) -> bool:
    with files.explaining(f"cannot read {directory}"):
        return any(directory.iterdir())


def _holds_work(old: Path) -> bool:
    """Look again after the fetch, which took a while, and after the exchange."""
    if old.is_dir() and not old.is_symlink() and not _is_filled(old):
        return False
    return git_checkout.changed(old)


def _backup_of(destination: Path) -> Path:
    suffix = datetime.now(UTC).strftime(".backup-%Y%m%dT%H%M%S%fZ")
    name = os.fsencode(destination.name)[: _LONGEST_NAME - len(suffix)]
    return destination.with_name(name.decode(errors="ignore") + suffix)  # cuts no character
