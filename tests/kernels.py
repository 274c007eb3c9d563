"""Kernels that are unusual, or broken."""

import json
from pathlib import Path

import pytest


def install_kernel(
    directory: Path, monkeypatch: pytest.MonkeyPatch, name: str, *argv: str, **env: str
) -> None:
    """Make a kernel ``name`` that Jupyter finds; its specification sets ``env``."""
    spec = directory / f"share/kernels/{name}/kernel.json"
    spec.parent.mkdir(parents=True)
    content = {"argv": argv, "env": env, "display_name": name, "language": "python"}
    spec.write_text(json.dumps(content))
    monkeypatch.setenv("JUPYTER_PATH", str(directory / "share"))
