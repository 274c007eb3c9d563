"""Add pytest, or a plugin that writes a report, to an environment whose repository names none."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError
from stepkit.system import atomic_files
from stepkit.test_suite import pytest, venv

if TYPE_CHECKING:
    from collections.abc import Callable

VERSIONS: Final = Path(__file__).with_name("plugin_versions.txt")  # made by `make generated`


def add_missing(
    checkout: Path, environment: Path, install: Callable[..., None], *, timeout: float
) -> list[str]:
    """Install what is missing of :data:`pytest.PLUGINS`, in stepkit's versions; return the names.

    ``install`` is that of pip or uv. No package that is there is changed. Raises
    :class:`ConfigurationError` when they do not fit together.
    """
    missing = pytest.find_missing(venv.python_in(environment))
    if not missing:
        return []
    there = {_spelled(name): version for name, version in _installed(environment)}
    wanted = dict(line.split("==") for line in VERSIONS.read_text().split() if "==" in line)
    with TemporaryDirectory(prefix="stepkit-plugins-") as scratch:
        constraints = Path(scratch, "constraints.txt")
        lines = [f"{name}=={version}" for name, version in {**wanted, **there}.items()]
        atomic_files.write_atomically(constraints, "\n".join(lines) + "\n", durable=False)
        try:
            install(checkout, environment, [*missing, "-c", str(constraints)], timeout=timeout)
        except ConfigurationError as error:
            names = ", ".join(missing)
            raise ConfigurationError(
                f"{names} cannot be added to the repository's packages: {error}: name "
                f"{'it' if len(missing) == 1 else 'them'} in its test dependencies, or use "
                "--missing-plugins without",
                reason=error.reason,
                evidence=error.evidence,
            ) from error
    return missing


def _installed(environment: Path) -> list[tuple[str, str]]:
    places = [str(path) for path in environment.glob("lib/python*/site-packages")]
    return [(found.name, found.version) for found in metadata.distributions(path=places)]


def _spelled(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
