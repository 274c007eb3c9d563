"""The GPUs that the driver's management library shows, on a fake of it."""

import os
from collections.abc import Iterator
from pathlib import Path

import commands
import nvml
import pytest
from nvml import FakeDriver
from samples import write_notebook

from stepkit.engine import run_cells as engine
from stepkit.notebook import ipynb
from stepkit.system import nvml as system_nvml

LEAVES = "import os\nprint('0.used 1536', file=open(os.environ['FAKE_NVML_STATE'], 'a'))"


@pytest.fixture
def driver(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that finds a driver; the library is a fake."""
    (tmp_path / "lib").mkdir()
    library = tmp_path / "lib/libnvidia-ml.so.1"
    library.write_bytes(nvml.built())
    used = tmp_path / "used"
    used.write_text("31949")  # MiB
    return {**os.environ, "LD_LIBRARY_PATH": str(library.parent), "FAKE_NVML_USED": str(used)}


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeDriver]:
    with nvml.installed(tmp_path) as driver:
        yield driver


def test_memory_is_none_without_a_driver() -> None:
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has a driver")
    assert system_nvml.read_memory() is None


@pytest.mark.parametrize(
    ("answers", "printed"),
    [(True, f"({31949 * 2**20}, {80 * 2**30})\n"), (False, "None\n")],
    ids=["it answers", "it cannot answer"],
)
def test_memory_is_what_the_driver_answers_without_cuda(
    driver: dict[str, str], *, answers: bool, printed: str
) -> None:
    if not answers:
        Path(driver["FAKE_NVML_USED"]).unlink()
    code = "from stepkit.system import nvml; print(nvml.read_memory())"

    done = commands.python("-c", code, env=driver)

    assert (done.returncode, done.stdout) == (0, printed)


def test_a_device_is_described(fake: FakeDriver) -> None:
    fake.set(devices=2, gpu1_mode=3, gpu1_persistence=0, gpu1_used=2048)

    first, second = system_nvml.devices()

    assert first == system_nvml.Device(
        index=0,
        name="NVIDIA Fake 80GB",
        uuid="GPU-fa4e-0",
        memory_total=80 * 2**30,
        memory_used=2**30,
        memory_free=79 * 2**30,
        driver="570.124.06",
        cuda_driver="12.8",
        compute_capability="9.0",
        mig_mode=False,
        compute_mode="default",
        persistence=True,
    )
    assert (second.index, second.uuid, second.memory_used) == (1, "GPU-fa4e-1", 2 * 2**30)
    assert (second.compute_mode, second.persistence) == ("exclusive process", False)


def test_what_the_driver_does_not_report_is_none_not_zero(fake: FakeDriver) -> None:
    fake.set(gpu0_error=3)

    (device,) = system_nvml.devices()

    assert (device.memory_total, device.memory_used, device.mig_mode) == (None, None, None)
    assert (device.compute_mode, device.persistence) == (None, None)


@pytest.mark.slow
def test_a_run_logs_gpu_memory_and_what_is_left(tmp_path: Path, driver: dict[str, str]) -> None:
    used = driver["FAKE_NVML_USED"]
    sources = [f"open({used!r}, 'w').write('32973')", "import time; time.sleep(2.5)"]
    notebook = write_notebook(tmp_path / "a.ipynb", *sources)
    flags = ("--heartbeat=1", f"--notebook={notebook}", f"--output={tmp_path / 'out.ipynb'}")

    done = commands.stepkit("execute-notebook", *flags, env=driver)

    assert done.returncode == 0
    assert "cell 2/2 running 1s" in done.stderr
    assert ", GPU 32.2 of 80 GiB" in done.stderr
    assert "GPU memory: 1.0 GiB more in use than before the run" in done.stderr


@pytest.mark.slow
def test_what_the_check_held_is_not_taken_for_memory_before_the_run(
    tmp_path: Path, fake: FakeDriver, caplog: pytest.LogCaptureFixture
) -> None:
    fake.set(gpu0_used=1624)  # with the context of the check
    source, output = write_notebook(tmp_path / "a.ipynb", LEAVES), tmp_path / "out.ipynb"
    with engine.start_kernel("python3", tmp_path) as running:
        fake.set(gpu0_used=1024)
        ready = engine.prepare_notebook(
            ipynb.read(source), {}, source=source, output=output, kernel="python3",
            language="python", report_mode=False,
        )  # fmt: skip
        engine.execute(engine.Request(notebook=ready, output=output), running)

    assert "GPU memory: 0.5 GiB more in use than before the run" in caplog.text


def test_utilisation_is_that_of_the_busiest_gpu(fake: FakeDriver) -> None:
    fake.set(devices=2, gpu0_utilisation=0, gpu1_utilisation=40)

    assert system_nvml.read_utilisation() == 40


def test_utilisation_is_none_unless_each_gpu_says_it(fake: FakeDriver) -> None:
    fake.set(devices=2, gpu1_error=3)

    assert system_nvml.read_utilisation() is None
