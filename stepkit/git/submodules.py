"""List the submodules of a checkout, and fetch them."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from stepkit.errors import ConfigurationError, Reason
from stepkit.git import commands, urls

if TYPE_CHECKING:
    from pathlib import Path

    from stepkit.git.environment import Access

logger = logging.getLogger(__name__)


def fetch(access: Access, checkout: Path, *, paths: tuple[str, ...], depth: int) -> None:
    """Check out the submodules at ``paths`` (all, for none) and theirs, at their commits.

    A credential is sent to its own host alone, as for the repository itself. Each level is fetched
    by itself, because git itself checks no address. Raises a StepError.
    """
    known = _read_submodules(access, checkout)
    for path in paths:
        if path not in known:
            names = ", ".join(known) or "none"
            raise ConfigurationError(
                f"{access.url} has no submodule {path!r} (submodules: {names})",
                reason=Reason.NOT_FOUND,
            )
    for path in (path for path, has_url in known.items() if not has_url):
        logger.warning("%s is a submodule without a URL in .gitmodules: left empty", path)
    wanted = [path for path in paths or known if known[path]]
    if not wanted:
        return
    local = partial(commands.run, cwd=checkout, timeout=access.timeout, show=access.verbose)
    local("submodule", "--quiet", "init", "--", *wanted)
    for url in _urls(local("config", "--null", "--get-regexp", r"^submodule\..*\.url$")):
        urls.check_host(access, url)
    update = ["submodule", "--quiet", "update", "--force"]
    update += [f"--depth={depth}"] if depth else []
    commands.run_remote(access, *update, "--", *wanted, cwd=checkout)
    for path in wanted:
        fetch(access, checkout / path, paths=(), depth=depth)


def _urls(listed: str) -> list[str]:
    """Return the values in a listing of settings; a relative URL is whole there."""
    return [entry.partition("\n")[2] for entry in listed.split("\0") if entry]


def _read_submodules(access: Access, checkout: Path) -> dict[str, bool]:
    """Return the path of each submodule in the checkout, and whether .gitmodules has its URL.

    Submodules that a sparse checkout leaves out are not listed.
    """
    listed = commands.run("ls-files", "-t", "--stage", "-z", cwd=checkout, timeout=access.timeout)
    entries = [entry.partition("\t") for entry in listed.split("\0")]
    paths = [
        path
        for flags, _, path in entries
        if flags.startswith("H ") and commands.SUBMODULE in flags.split()
    ]
    file = checkout / ".gitmodules"
    settings: dict[str, str] = {}
    if paths and file.is_file() and not file.is_symlink():
        settings = dict(commands.read_settings(file, cwd=checkout, timeout=access.timeout))
    names = {value: key[:-5] for key, value in settings.items() if key.endswith(".path")}
    return {path: path in names and bool(settings.get(f"{names[path]}.url")) for path in paths}
