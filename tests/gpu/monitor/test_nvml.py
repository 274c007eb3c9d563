from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import nvml
import pytest
from samples import write_notebook

from stepkit.gpu.monitor.nvml_session import Session, reason_words
from stepkit.system import nvml as system_nvml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nvml import FakeDriver


@pytest.fixture
def driver(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that finds a driver; the library is a fake of ours."""
    (tmp_path / "lib").mkdir()
    library = tmp_path / "lib/libnvidia-ml.so.1"
    library.write_bytes(nvml.built())
    used = tmp_path / "used"
    used.write_text("31949")  # MiB
    return {**os.environ, "LD_LIBRARY_PATH": str(library.parent), "FAKE_NVML_USED": str(used)}


def test_there_is_no_memory_without_a_driver() -> None:
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has a driver")
    assert system_nvml.read_memory() is None


def test_asks_the_driver_without_cuda(driver: dict[str, str]) -> None:
    code = "from stepkit.system import nvml; print(nvml.read_memory())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=driver, capture_output=True, text=True, check=True
    )

    assert done.stdout == f"({31949 * 2**20}, {80 * 2**30})\n"


def test_a_driver_that_does_not_tell_is_none(driver: dict[str, str]) -> None:
    Path(driver["FAKE_NVML_USED"]).unlink()
    code = "from stepkit.system import nvml; print(nvml.read_memory())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=driver, capture_output=True, text=True, check=True
    )

    assert done.stdout == "None\n"


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeDriver]:
    with nvml.installed(tmp_path) as driver:
        yield driver


@pytest.fixture
def session(fake: FakeDriver) -> Iterator[Session]:
    fake.tell(devices=1)
    session = Session()
    yield session
    session.close()


def test_without_a_library_there_are_no_devices_and_a_session_has_nothing_to_say() -> None:
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has a driver")
    session = Session()

    assert system_nvml.devices() == ()
    assert session.devices == ()
    assert session.read(slow=True) == []
    assert session.xids() == []
    assert session.errors == []
    session.close()


def test_a_device_tells_what_it_is(fake: FakeDriver) -> None:
    fake.tell(devices=2, gpu1_mode=3, gpu1_persistence=0, gpu1_used=2048)

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


def test_what_the_driver_does_not_tell_is_none_not_zero(fake: FakeDriver) -> None:
    fake.tell(gpu0_error=3)

    (device,) = system_nvml.devices()

    assert (device.memory_total, device.memory_used, device.mig_mode) == (None, None, None)
    assert (device.compute_mode, device.persistence) == (None, None)


def test_a_gpu_divided_by_mig_shows_its_instances(fake: FakeDriver) -> None:
    fake.tell(gpu0_mig=1, gpu0_used_error=4, gpu100_used=512, gpu100_utilisation_error=3)
    fake.tell(gpu100_power_error=3)

    (device,) = system_nvml.devices()
    session = Session()
    (values,) = session.read(slow=True)
    session.close()

    assert (device.index, device.uuid, device.mig_mode) == (0, "GPU-fa4e-100", True)
    assert device.memory_used == 512 * 2**20
    assert values["memory_used"] == 512 * 2**20
    assert (values["utilisation"], values["power"]) == (None, None)
    assert session.errors == []


def test_a_number_that_stands_for_none_is_none(fake: FakeDriver) -> None:
    none = 2**64 - 1
    fake.tell(gpu0_used=none, gpu0_energy=none, gpu0_ecc=none)

    (device,) = system_nvml.devices()
    session = Session()
    (values,) = session.read(slow=True)
    session.close()

    assert device.memory_used is None
    assert values["memory_used"] is None
    assert (values["energy"], values["ecc_uncorrected"]) == (None, None)
    assert values["power"] is not None


def test_a_session_reads_what_a_gpu_does_in_base_units(fake: FakeDriver, session: Session) -> None:
    fake.tell(gpu0_power=312500, gpu0_energy=9001, gpu0_ecc=2, gpu0_rows=3, gpu0_reasons=0x43)

    (values,) = session.read(slow=True)

    assert values == {
        "memory_used": 2**30,
        "utilisation": 50,
        "memory_utilisation": 20,
        "power": 312.5,
        "sm_clock": 1755,
        "clock_reasons": 0x40,
        "temperature": 55,
        "energy": 9.001,
        "ecc_uncorrected": 2,
        "retired": 3,
    }


def test_costly_questions_are_asked_only_when_wanted(session: Session) -> None:
    (values,) = session.read(slow=False)

    assert values["memory_used"] == 2**30
    assert {values[name] for name in ("temperature", "energy", "retired")} == {None}


def test_an_old_driver_lacks_functions_and_is_asked_by_their_older_names(tmp_path: Path) -> None:
    with nvml.installed(tmp_path, "-DOLD_DRIVER") as driver:
        driver.tell(gpu0_reasons=8, gpu0_pages=2)
        session = Session()
        (values,) = session.read(slow=True, pids=[os.getpid()])
        heard = session.xids()
        session.close()

    assert values["clock_reasons"] == 8
    assert values["retired"] == 4  # two for each cause
    assert values["energy"] is None
    assert values["process_memory"] is None
    assert heard == []
    assert session.errors == []
    assert session.devices[0].mig_mode is None


def test_a_lost_gpu_is_noted_once_and_asked_again(fake: FakeDriver, session: Session) -> None:
    fake.tell(gpu0_error=15)
    for _ in range(3):
        (values,) = session.read(slow=True)
        assert set(values.values()) == {None}
    fake.tell(gpu0_error=0)
    (values,) = session.read(slow=False)

    assert session.errors == ["GPU 0: GPU is lost"]
    assert values["memory_used"] == 2**30


def test_memory_of_processes_is_unknown_until_the_driver_names_one_of_ours(
    fake: FakeDriver, session: Session
) -> None:
    fake.tell(gpu0_pid=7_000_000, gpu0_pidused=300)
    (foreign,) = session.read(slow=True, pids={1234})
    fake.tell(gpu0_pid=1234)
    (ours,) = session.read(slow=True, pids={1234})
    fake.tell(gpu0_pid=0)
    (gone,) = session.read(slow=True, pids={1234})

    assert foreign["process_memory"] is None
    assert ours["process_memory"] == 300 * 2**20
    assert gone["process_memory"] == 0


def test_a_critical_error_is_heard_once(fake: FakeDriver, session: Session) -> None:
    before = session.xids()
    fake.tell(xid=79)

    assert (before, session.xids(), session.xids()) == ([], [(0, 79)], [])


def test_reasons_are_spelled_for_people() -> None:
    assert reason_words(0) == ()
    assert reason_words(0x1 | 0x2) == ()
    assert reason_words(0x4 | 0x40) == ("software power cap", "hardware thermal slowdown")
    assert reason_words(0x8000) == ("reason 0x8000",)


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
