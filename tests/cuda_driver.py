"""A CUDA driver for tests on machines without a GPU; fake_cuda.c lists how it can behave."""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from stepkit.gpu.health import preflight

SOURCE = Path(__file__).with_name("fake_cuda.c")
# The interpreter that the environment was made with: without CuPy and RMM, only the driver answers.
BARE = str(Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}"))


def fake_cuda(directory: Path, **env: str) -> dict[str, str]:
    """Put a driver below ``directory``; return the environment of a process that finds it.

    ``env`` is added to that environment: ``FAKE_CUDA_INIT="46"`` and the rest.
    """
    libraries = directory / "driver"
    libraries.mkdir(parents=True, exist_ok=True)
    (libraries / "libcuda.so.1").write_bytes(_built())
    inherited = os.environ.get("LD_LIBRARY_PATH")
    path = f"{libraries}{os.pathsep}{inherited}" if inherited else str(libraries)
    return {**os.environ, "LD_LIBRARY_PATH": path, **env}


@functools.cache
def _built() -> bytes:
    if not shutil.which("gcc"):
        pytest.skip("there is no gcc to build the fake driver with")
    with tempfile.TemporaryDirectory() as directory:
        library = Path(directory) / "libcuda.so.1"
        options = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Wl,-soname,libcuda.so.1"]
        subprocess.run(["gcc", *options, "-o", library, SOURCE], check=True)
        return library.read_bytes()


def check(env: dict[str, str], **more: Any) -> preflight.Diagnosis:
    """Check a GPU that is required with a Python that has no packages."""
    return preflight.diagnose(BARE, **{"need": "required", "env": env, **more})
