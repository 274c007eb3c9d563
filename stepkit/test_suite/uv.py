"""uv: export uv.lock and install it; `uv sync` would rewrite the checkout and is never used."""

from __future__ import annotations

import shutil
import sys
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from stepkit.errors import ConfigurationError
from stepkit.test_suite import venv

if TYPE_CHECKING:
    from collections.abc import Sequence


def program() -> list[str]:
    """Return how to run uv: our interpreter's own, or the one on PATH; ``[]`` if neither."""
    try:
        metadata.version("uv")
    except metadata.PackageNotFoundError:
        found = shutil.which("uv")
        return [found] if found else []
    return [sys.executable, "-P", "-m", "uv"]


def install(
    checkout: Path, environment: Path, requirements: Sequence[str], *, timeout: float
) -> None:
    """Install ``requirements`` (arguments of ``pip install``) into ``environment``."""
    command = [*program(), "pip", "install", "--compile-bytecode", "--python"]
    venv.run_installer(
        [*command, venv.python_in(environment), *requirements],
        "uv pip install",
        cwd=checkout,
        timeout=timeout,
    )


def install_locked(
    checkout: Path,
    environment: Path,
    *,
    groups: Sequence[str],
    extras: Sequence[str],
    timeout: float,
) -> None:
    """Install what uv.lock says into ``environment``, without the repository's own package.

    Raises :class:`ConfigurationError` when uv.lock no longer fits pyproject.toml.
    """
    chosen = [f"--group={group}" for group in groups] + [f"--extra={extra}" for extra in extras]
    with TemporaryDirectory(prefix="stepkit-uv-") as scratch:
        exported = Path(scratch, "requirements.txt")
        command = [*program(), "export", "--locked", "--no-emit-project", "--quiet"]
        try:
            venv.run_installer(
                [*command, "--python", sys.executable, *chosen, "--output-file", exported],
                "uv export",
                cwd=checkout,
                timeout=timeout,
            )
        except ConfigurationError as error:
            raise ConfigurationError(
                f"{error}: run `uv lock` in the test repository and commit uv.lock"
            ) from error
        install(checkout, environment, ["--no-deps", "-r", str(exported)], timeout=timeout)
