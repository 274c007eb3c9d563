from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from samples import write_notebook

from stepkit.tools import gpu

SOURCE = Path(__file__).with_name("fake_nvml.c")


@pytest.fixture
def driver(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that finds a driver; the library is a fake of ours."""
    if not shutil.which("gcc"):
        pytest.skip("there is no gcc to build the fake driver with")
    (tmp_path / "lib").mkdir()
    library = tmp_path / "lib/libnvidia-ml.so.1"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, SOURCE], check=True)
    used = tmp_path / "used"
    used.write_text("31949")  # MiB
    return {**os.environ, "LD_LIBRARY_PATH": str(library.parent), "FAKE_NVML_USED": str(used)}


def test_there_is_no_memory_without_a_driver() -> None:
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has a driver")
    assert gpu.memory() is None


def test_asks_the_driver_without_cuda(driver: dict[str, str]) -> None:
    code = "from stepkit.tools import gpu; print(gpu.memory())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=driver, capture_output=True, text=True, check=True
    )

    assert done.stdout == f"({31949 * 2**20}, {80 * 2**30})\n"


def test_a_driver_that_does_not_tell_is_none(driver: dict[str, str]) -> None:
    Path(driver["FAKE_NVML_USED"]).unlink()
    code = "from stepkit.tools import gpu; print(gpu.memory())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=driver, capture_output=True, text=True, check=True
    )

    assert done.stdout == "None\n"


@pytest.mark.slow
def test_a_run_shows_the_gpus_memory_and_says_what_it_left_there(
    tmp_path: Path, driver: dict[str, str]
) -> None:
    used = driver["FAKE_NVML_USED"]
    sources = [f"open({used!r}, 'w').write('32973')", "import time; time.sleep(2.5)"]
    notebook = write_notebook(tmp_path / "a.ipynb", *sources)
    command = [sys.executable, "-P", "-m", "stepkit", "execute-notebook", "--heartbeat=1"]
    done = subprocess.run(
        [*command, f"--notebook={notebook}", f"--output={tmp_path / 'out.ipynb'}"],
        env=driver,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0
    assert "cell 2/2 running 1s" in done.stderr
    assert ", GPU 32.2 of 80 GiB" in done.stderr
    assert "GPU memory: 1.0 GiB more in use than before the run" in done.stderr
