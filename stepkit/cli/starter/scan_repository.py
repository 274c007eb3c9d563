"""Find the notebooks and tests of a repository, and the parameters of the notebooks."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from stepkit.cli import config_file
from stepkit.errors import ConfigurationError, StepError
from stepkit.notebook import ipynb, parameters
from stepkit.system import process

logger = logging.getLogger(__name__)

_TESTS: Final = ("test_*.py", "*_test.py")
_GIT_SECONDS: Final = 10


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a repository has: paths relative to it, parameters by notebook, and where it is from.

    ``url`` is that of the git remote ``origin``, without a user and a password, "" if unknown.
    """

    notebooks: tuple[str, ...]
    parameters: Mapping[str, Mapping[str, Any]]
    has_tests: bool
    has_requirements: bool
    url: str


def scan(directory: Path) -> Found:
    """Look through ``directory``, but for hidden directories and environments of Python.

    Raises :class:`ConfigurationError` if there is no notebook.
    """
    notebooks, has_tests = [], False
    for root, directories, files in os.walk(directory):
        directories[:] = sorted(
            name
            for name in directories
            if not name.startswith(".")
            and name not in {"node_modules", "__pycache__"}
            and not (Path(root) / name / "pyvenv.cfg").exists()
        )
        for name in sorted(files):
            if name.endswith(".ipynb") and not name.startswith("."):
                notebooks.append((Path(root) / name).relative_to(directory).as_posix())
            has_tests = has_tests or any(fnmatchcase(name, like) for like in _TESTS)
    if not notebooks:
        raise ConfigurationError(
            f"there is no notebook (.ipynb) in {directory.absolute()}: start stepkit init at the "
            "root of a repository with notebooks"
        )
    known = {name: _parameters(directory / name) for name in notebooks}
    return Found(
        notebooks=tuple(name for name, given in known.items() if given is not None),
        parameters={name: given for name, given in known.items() if given},
        has_tests=has_tests,
        has_requirements=(directory / "requirements.txt").is_file(),
        url=_origin(directory),
    )


def _parameters(path: Path) -> dict[str, Any] | None:
    """Return the parameters of a notebook but those that may be secrets; None if it is broken."""
    try:
        found = parameters.literal_defaults(ipynb.read(path, any_cell=True))
    except StepError as error:
        logger.warning("left out: %s", error)
        return None
    return {name: v for name, v in found.items() if not config_file.may_be_secret(name, v)}


def _origin(directory: Path) -> str:
    from stepkit.http import safe_urls

    try:
        done = process.run(
            ["git", "config", "--get", "remote.origin.url"], cwd=directory, timeout=_GIT_SECONDS
        )
        url = done.output.strip() if done.code == 0 else ""
        return safe_urls.masked(url) if url.startswith(("https://", "http://")) else ""
    except StepError:  # git is not installed, or the URL is not one
        return ""
