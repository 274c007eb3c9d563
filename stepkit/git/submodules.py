"""The submodules of a checkout: which there are, and fetching them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from stepkit.errors import ConfigurationError, Reason
from stepkit.git import commands

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stepkit.git.environment import Access

logger = logging.getLogger(__name__)


def fetch(access: Access, checkout: Path, *, paths: tuple[str, ...], depth: int) -> None:
    """Check out the submodules at ``paths`` (all, for none) and theirs, at their commits.

    A credential goes to its own host alone, as for the repository itself. Raises a StepError.
    """
    known = dict(_declared(access, checkout))
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
    update = ["submodule", "--quiet", "update", "--init", "--recursive", "--force"]
    update += [f"--depth={depth}"] if depth else []
    commands.ask(access, *update, "--", *wanted, cwd=checkout)


def listed(checkout: Path, *, timeout: float) -> Iterator[str]:
    """Yield the paths of the submodules that the commit has and a sparse checkout leaves in."""
    entries = commands.call("ls-files", "-t", "--stage", "-z", cwd=checkout, timeout=timeout)
    for entry in entries.split("\0"):
        flags, _, name = entry.partition("\t")
        if flags.startswith("H ") and commands.SUBMODULE in flags.split():
            yield name


def _declared(access: Access, checkout: Path) -> Iterator[tuple[str, bool]]:
    """Yield the path of each submodule, and whether ``.gitmodules`` tells its URL."""
    paths = list(listed(checkout, timeout=access.timeout))
    declared = checkout / ".gitmodules"
    settings: dict[str, str] = {}
    if paths and declared.is_file() and not declared.is_symlink():
        settings = dict(commands.settings(declared, cwd=checkout, timeout=access.timeout))
    names = {value: key[:-5] for key, value in settings.items() if key.endswith(".path")}
    for path in paths:
        yield path, path in names and bool(settings.get(f"{names[path]}.url"))
