"""Add pytest, or a plugin that writes a report, to an environment whose repository names none."""

from __future__ import annotations

import logging
import re
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError
from stepkit.system import atomic_files
from stepkit.test_suite import pytest, venv

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

logger = logging.getLogger(__name__)

VERSIONS: Final = Path(__file__).with_name("plugin_versions.txt")  # made by `make generated`


def add_missing(
    plugins: Collection[str],
    checkout: Path,
    environment: Path,
    *,
    install: Callable[..., None],
    timeout: float,
) -> None:
    """Install what is missing of ``plugins`` (of :data:`pytest.PLUGINS`), in stepkit's versions.

    ``install`` is that of pip or uv. No package that is there is changed. Raises
    :class:`ConfigurationError` when they do not fit together.
    """
    missing = pytest.find_missing(venv.python_in(environment), plugins)
    if not missing:
        return
    logger.info("the repository does not name %s: adding", ", ".join(missing))
    there = {_spelled(name): version for name, version in _installed(environment)}
    wanted = dict(line.split("==") for line in VERSIONS.read_text().split() if "==" in line)
    with TemporaryDirectory(prefix="stepkit-plugins-") as scratch:
        constraints = Path(scratch, "constraints.txt")
        lines = [f"{name}=={version}" for name, version in {**wanted, **there}.items()]
        atomic_files.write_atomically(constraints, "\n".join(lines) + "\n", durable=False)
        try:
            install(checkout, environment, [*missing, "-c", str(constraints)], timeout=timeout)
        except ConfigurationError as error:
            them = "it" if len(missing) == 1 else "them"
            raise ConfigurationError(
                f"{', '.join(missing)} cannot be added to the repository's packages: {error}: "
                f"name {them} in its test dependencies",
                reason=error.reason,
                evidence=error.evidence,
            ) from error


def _installed(environment: Path) -> list[tuple[str, str]]:
    places = [str(path) for path in environment.glob("lib/python*/site-packages")]
    return [(found.name, found.version) for found in metadata.distributions(path=places)]


def _spelled(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
