"""The extras test-gpu bring what CuPy compiles with, where a machine has only NVIDIA's driver."""

from __future__ import annotations

import tomllib
from pathlib import Path

import commands
import locked_wheels
import pytest

ROOT = Path(__file__).parents[2]
LOCKS = Path(__file__).parent / "health/wheels"
EXTRAS = {"compiler-cuda12": "test-gpu", "compiler-cuda13": "test-gpu-cuda13"}

# What CuPy does before it runs a kernel, up to the driver: it asks no GPU for its architecture.
COMPILE = """
import os, cupy
from cupy._core import core
from cupy_backends.cuda.libs import nvrtc
options = core.assemble_cupy_compiler_options(())
source = (
    '#include <cupy/complex.cuh>\\n#include <cupy/carray.cuh>\\n#include <cuda_fp16.h>\\n'
    'extern "C" __global__ void f(CArray<float, 1, 1, 1> a) { CUPY_FOR(i, a.size()) a[i] += 1; }'
)
program = nvrtc.createProgram(source, "kernel.cu", [], [])
nvrtc.compileProgram(program, [*options, "-arch=sm_80"])
print(nvrtc.getVersion()[0], len(nvrtc.getCUBIN(program)), options[-1])
"""


@pytest.mark.parametrize("lock", EXTRAS)
def test_the_locked_wheels_are_those_of_the_extra(lock: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {
        line.partition("=")[0].partition(">")[0]
        for line in project["optional-dependencies"][EXTRAS[lock]]
    }

    names = (LOCKS / f"{lock}.in").read_text().split()
    assert asked == {name.partition(">")[0] for name in names if name.startswith("nvidia")}


@pytest.mark.slow
@pytest.mark.parametrize("lock", EXTRAS)
def test_cupy_compiles_a_kernel_with_the_wheels_of_the_extra_alone(
    lock: str, tmp_path: Path
) -> None:
    venv = locked_wheels.environment(LOCKS / f"{lock}.txt")

    done = commands.run(venv / "bin/python", "-c", COMPILE, env={}, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    version, size, headers = done.stdout.split()
    assert version == lock[-2:]
    assert int(size) > 1000
    assert headers.startswith(f"-I{venv}/lib/")
