"""Processes that a notebook starts."""

import sys
from pathlib import Path

import pytest
from guarded import GUARD, Guarded, guarded

START = """
import subprocess
done = subprocess.run([sys.executable, "-c", {!r}], capture_output=True, text=True)
print(done.stdout.strip(), done.stderr.strip().rpartition("\\n")[2])
"""
OURS = [str(GUARD.parent), str(GUARD.with_name("children"))]
CHILD = f"""
import os, sys
print(any(os.path.abspath(path) in {OURS} for path in sys.path), "STEPKIT_GUARD" in os.environ)
import rmm
rmm.reinitialize()
"""


def test_children_are_not_guarded_by_default(without_gpu: Guarded) -> None:
    done = without_gpu(START.format(CHILD))

    assert done.stdout.startswith("False False AttributeError: 'CUDARuntimeError'")
    assert done.log.children == 0


def test_children_are_guarded_with_the_option(without_gpu: Guarded) -> None:
    done = without_gpu(START.format(CHILD), children=True)

    error = "stepkit_guard.cuda_errors.GpuMissing: no GPU can be used"
    assert done.stdout.startswith(f"False True {error}")
    assert done.log.children == 1
    assert done.log.calls[0].pid != done.events[0]["pid"]


@pytest.mark.slow
def test_another_sitecustomize_still_runs(tmp_path: Path, python: str) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/sitecustomize.py").write_text("print('theirs', __name__)")
    env = {"PYTHONPATH": str(tmp_path / "theirs")}
    done = guarded(tmp_path, START.format("print('mine')"), python=python, env=env, children=True)

    assert done.stdout == "theirs sitecustomize\ntheirs sitecustomize\nmine \n"
    assert done.log.children == 1


@pytest.mark.slow
def test_a_child_that_imports_rmm_gets_no_pool(tmp_path: Path, python: str) -> None:
    code = START.format("import rmm, rmm.mr")
    done = guarded(tmp_path, code, python=python, mode="pool", children=True)

    assert done.log.rmm
    assert done.log.calls == ()


@pytest.mark.slow
def test_a_child_whose_guard_fails_still_runs(tmp_path: Path) -> None:
    code = "import os\nos.environ['STEPKIT_GUARD'] = '{'" + START.format("print('mine')")
    done = guarded(tmp_path, code, python=sys.executable, children=True)

    assert done.stdout.startswith("mine stepkit: no guard of RMM in this process: Expecting")
