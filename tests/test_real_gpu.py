"""Tests that need a GPU, on a machine without one."""

import os
import re
import sys
from pathlib import Path

import commands
import pytest
from cuda_driver import fake_cuda

TESTS = Path(__file__).with_name("gpu") / "test_on_a_gpu.py"


def test_all_of_them_are_where_make_test_gpu_looks() -> None:
    tests = Path(__file__).parent
    marked = [p for p in tests.rglob("test_*.py") if re.search(r"mark\.gpu[,\n]", p.read_text())]

    assert len(marked) >= 2
    assert {path.relative_to(tests).parts[0] for path in marked} == {"gpu"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("required", "code", "shown"),
    [
        ("", 0, "no GPU to test on: the NVIDIA driver is there, but shows this container no GPU"),
        ("1", 1, "no GPU to test on, and one is required: the NVIDIA driver is there"),
    ],
)
def test_without_a_gpu_they_are_skipped_and_fail_where_one_is_required(
    required: str, code: int, shown: str, tmp_path: Path
) -> None:
    arguments = ("-m", "gpu", "-k", "finds_the_gpu", "-p", "no:cacheprovider", TESTS)
    env = {**fake_cuda(tmp_path), "STEPKIT_REQUIRE_GPU": required, "COLUMNS": "200"}

    done = commands.run(
        sys.executable, "-m", "pytest", *arguments, env=env, cwd=os.fspath(tmp_path)
    )

    assert done.returncode == code, done.stdout
    assert shown in done.stdout
