"""Kernels that are unusual, or broken."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

Install: TypeAlias = Callable[..., None]  # takes a name and argv, and the environment by keywords


@pytest.fixture
def install_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make a kernel ``name`` that Jupyter finds; its specification sets ``env``."""

    def install(name: str, *argv: str, **env: str) -> None:
        spec = tmp_path / f"share/kernels/{name}/kernel.json"
        spec.parent.mkdir(parents=True)
        content = {"argv": argv, "env": env, "display_name": name, "language": "python"}
        spec.write_text(json.dumps(content))
        monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share"))

    return install
