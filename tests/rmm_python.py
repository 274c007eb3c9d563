import fcntl
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cuda_driver import fake_cuda
from guarded import ON_HOST, Guarded, guarded

OLDEST = ("rmm-cu12==25.4.*", "cupy-cuda12x==13.4.*", "numpy<2.3", "ipykernel")


@pytest.fixture
def rmm_here() -> None:
    """Skip where this environment has no RMM."""
    if importlib.util.find_spec("rmm") is None or importlib.util.find_spec("cupy") is None:
        pytest.skip("this environment has no RMM and CuPy: uv sync --extra cuda12")


@pytest.fixture(params=["installed", pytest.param("oldest", marks=pytest.mark.slow)])
def python(request: pytest.FixtureRequest) -> str:
    """A Python with RMM: this environment's, and the oldest that RAPIDS images still carry."""
    if request.param == "oldest":
        return _oldest(request.config)
    request.getfixturevalue("rmm_here")
    return sys.executable


@pytest.fixture
def on_host(tmp_path: Path, python: str) -> Guarded:
    """Run code under the guard, with a GPU that is simulated in host memory."""
    return lambda code, **more: guarded(tmp_path, ON_HOST + code, python=python, **more)


@pytest.fixture
def without_gpu(tmp_path: Path, python: str) -> Guarded:
    """Run code under the guard, with a driver that finds no GPU."""
    env = fake_cuda(tmp_path)
    return lambda code, **more: guarded(tmp_path, code, python=python, **{"env": env, **more})


def _oldest(config: pytest.Config) -> str:
    """Make an environment in pytest's cache, once for all runs."""
    if importlib.util.find_spec("uv") is None:
        pytest.skip("there is no uv to make an environment of old wheels with")
    directory = config.cache.mkdir(f"rmm-25.4-python{sys.version_info[0]}.{sys.version_info[1]}")
    ready, python = directory / "ready", directory / "venv/bin/python"
    with _lock(directory):
        if not ready.exists():
            uv = [sys.executable, "-m", "uv"]
            _run(*uv, "venv", "--clear", "--python", sys.executable, str(directory / "venv"))
            _run(*uv, "pip", "install", "--python", str(python), *OLDEST)
            ready.touch()
    return str(python)


@contextmanager
def _lock(directory: Path) -> Iterator[None]:
    """Let only one of several test processes make the environment."""
    with (directory / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the oldest RMM cannot be installed: {done.stderr.strip()[-300:]}")
