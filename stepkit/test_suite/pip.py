"""pip: install requirements into an environment that was made with pip."""

from __future__ import annotations

from importlib import util
from typing import TYPE_CHECKING

from stepkit.test_suite import venv

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def available() -> bool:
    """Return whether Python can make an environment with pip: Debian's python3 alone cannot."""
    return util.find_spec("ensurepip") is not None


def install(
    checkout: Path, environment: Path, requirements: Sequence[str], *, timeout: float
) -> None:
    """Install ``requirements`` (arguments of ``pip install``) into ``environment``."""
    command = [str(venv.python_in(environment)), "-P", "-m", "pip", "install", "--no-input"]
    venv.run_installer([*command, *requirements], "pip install", cwd=checkout, timeout=timeout)
