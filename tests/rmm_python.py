import importlib.util
import sys
from pathlib import Path

import locked_wheels
import pytest
from cuda_driver import fake_cuda
from guarded import ON_HOST, Guarded, guarded

LOCKS = Path(__file__).with_name("kernel") / "gpu_memory/wheels"  # `make rmm-wheels` writes them
ROWS = sorted(lock.stem for lock in LOCKS.glob("*.txt"))
# Each differs from the one before in what the guard touches: rmm.mr is a package since 25.12, and
# owns its resources since 26.06. kernel/gpu_memory/test_wheels.py has all rows.
DIFFERENT = ("cuda12-25.04", "cuda12-25.12", "cuda13-26.06", "cuda13-26.10")


def python_of(row: str) -> str:
    """Return a Python with the RMM and CuPy of a lock; skip where they cannot be had."""
    return str(locked_wheels.environment(LOCKS / f"{row}.txt") / "bin/python")


@pytest.fixture
def rmm_here() -> None:
    """Skip where this environment has no RMM."""
    if importlib.util.find_spec("rmm") is None or importlib.util.find_spec("cupy") is None:
        pytest.skip("this environment has no RMM and CuPy: uv sync --extra cuda12")


@pytest.fixture(
    params=["installed", *(pytest.param(row, marks=pytest.mark.slow) for row in DIFFERENT)]
)
def python(request: pytest.FixtureRequest) -> str:
    """A Python with RMM: this environment's, and those of some rows of locked wheels."""
    if request.param != "installed":
        return python_of(request.param)
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
