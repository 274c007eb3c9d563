"""Poetry: install what poetry.lock says into an environment of our choice."""

from __future__ import annotations

import shutil
import sys
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from stepkit.errors import ConfigurationError
from stepkit.system import process
from stepkit.test_suite import venv

_QUIET: Final = ("--no-interaction", "--no-ansi")


def program() -> list[str]:
    """Return how to run poetry: our interpreter's own, or the one on PATH; ``[]`` if neither."""
    try:
        metadata.version("poetry")
    except metadata.PackageNotFoundError:
        found = shutil.which("poetry")
        return [found] if found else []
    return [sys.executable, "-P", "-m", "poetry"]  # -P: no file of the checkout shadows a module


def check_lock(checkout: Path, environment: Path, *, timeout: float) -> None:
    """Check that poetry.lock fits the pyproject.toml beside it.

    Raises :class:`ConfigurationError` when poetry.lock is missing, broken, or no longer fits.
    """
    with TemporaryDirectory(prefix="stepkit-poetry-") as empty:
        env = _variables(environment, Path(empty))
        command = [*program(), "check", "--lock", *_QUIET]
        check = process.run(command, cwd=checkout, env=env, timeout=timeout)
    if not check.code and not check.timed_out:
        return
    if not (checkout / "poetry.lock").exists():
        why = "there is no poetry.lock"
    elif "changed significantly" in check.output:
        why = "pyproject.toml changed since poetry.lock was made"
    else:
        why = venv.find_error(check.output)
    raise ConfigurationError(
        f"the tests' packages are not locked: {why}: run `poetry lock` in the test repository "
        "and commit poetry.lock"
    )


def install(checkout: Path, environment: Path, *, timeout: float) -> None:
    """Install the locked packages of ``checkout`` into ``environment``, without its own package."""
    with TemporaryDirectory(prefix="stepkit-poetry-") as empty:
        env = _variables(environment, Path(empty))
        command = [*program(), "install", "--no-root", *_QUIET]
        venv.run_installer(command, "poetry install", cwd=checkout, env=env, timeout=timeout)


def _variables(environment: Path, empty: Path) -> dict[str, str]:
    """Return variables by which poetry installs into ``environment`` and finds no other."""
    env = {
        name: value
        for name, value in venv.variables().items()
        if not name.startswith("POETRY_VIRTUALENVS_")
    }
    return env | {
        "VIRTUAL_ENV": str(environment),
        "POETRY_VIRTUALENVS_IN_PROJECT": "false",
        "POETRY_VIRTUALENVS_PATH": str(empty),  # an earlier `poetry env use` has no effect
    }
