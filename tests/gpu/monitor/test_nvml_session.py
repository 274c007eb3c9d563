"""A session of NVML on a driver's library that is a fake."""

import os
from collections.abc import Iterator
from pathlib import Path

import nvml
import pytest
from nvml import FakeDriver

from stepkit.gpu.monitor import nvml_readings
from stepkit.gpu.monitor.nvml_readings import NvmlSession, reason_words
from stepkit.system import nvml as system_nvml


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeDriver]:
    with nvml.installed(tmp_path) as driver:
        yield driver


@pytest.fixture
def session(fake: FakeDriver) -> Iterator[NvmlSession]:
    fake.set(devices=1)
    session = NvmlSession()
    yield session
    session.close()


def test_without_a_library_there_are_no_devices_and_a_session_is_empty() -> None:
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has a driver")
    session = NvmlSession()

    assert system_nvml.devices() == ()
    assert session.devices == ()
    assert session.read(slow=True) == []
    assert session.xids() == []
    assert session.errors == []
    session.close()


def test_a_gpu_divided_by_mig_shows_its_instances(fake: FakeDriver) -> None:
    fake.set(gpu0_mig=1, gpu0_used_error=4, gpu100_used=512, gpu100_utilisation_error=3)
    fake.set(gpu100_power_error=3)

    (device,) = system_nvml.devices()
    session = NvmlSession()
    (values,) = session.read(slow=True)
    session.close()

    assert (device.index, device.uuid, device.mig_mode) == (0, "GPU-fa4e-100", True)
    assert device.memory_used == 512 * 2**20
    assert values["memory_used"] == 512 * 2**20
    assert (values["utilisation"], values["power"]) == (None, None)
    assert session.errors == []


def test_a_number_that_means_not_available_is_none(fake: FakeDriver) -> None:
    none = 2**64 - 1
    fake.set(gpu0_used=none, gpu0_energy=none, gpu0_ecc=none)
    fake.set(gpu0_power=2**32 - 1, gpu0_utilisation=2**32 - 1)

    (device,) = system_nvml.devices()
    session = NvmlSession()
    (values,) = session.read(slow=True)
    session.close()

    assert device.memory_used is None
    assert values["memory_used"] is None
    assert (values["energy"], values["ecc_uncorrected"]) == (None, None)
    assert (values["power"], values["utilisation"], values["idle"]) == (None, None, None)
    assert values["temperature"] is not None


def test_a_session_reads_the_values_of_a_gpu_in_base_units(
    fake: FakeDriver, session: NvmlSession
) -> None:
    fake.set(gpu0_power=312500, gpu0_energy=9001, gpu0_ecc=2, gpu0_rows=3, gpu0_reasons=0x43)

    (values,) = session.read(slow=True)

    assert values == {
        "memory_used": 2**30,
        "utilisation": 50,
        "memory_utilisation": 20,
        "power": 312.5,
        "sm_clock": 1755,
        "clock_reasons": 0x40,
        "idle": 0,
        "temperature": 55,
        "energy": 9.001,
        "ecc_uncorrected": 2,
        "retired": 3,
    }


def test_costly_queries_are_made_only_when_wanted(session: NvmlSession) -> None:
    (values,) = session.read(slow=False)

    assert values["memory_used"] == 2**30
    assert {values[name] for name in ("temperature", "retired")} == {None}


def test_an_old_driver_is_queried_by_the_older_names_of_functions(tmp_path: Path) -> None:
    with nvml.installed(tmp_path, "-DOLD_DRIVER") as driver:
        driver.set(gpu0_reasons=8, gpu0_pages=2)
        session = NvmlSession()
        (values,) = session.read(slow=True, pids=[os.getpid()])
        events = session.xids()
        session.close()

    assert values["clock_reasons"] == 8
    assert values["retired"] == 4  # two for each cause
    assert (values["energy"], values["power_energy"]) == (None, 0)
    assert values["process_memory"] is None
    assert events == []
    assert session.errors == []
    assert session.devices[0].mig_mode is None


def test_a_lost_gpu_is_noted_once_and_queried_again(fake: FakeDriver, session: NvmlSession) -> None:
    fake.set(gpu0_error=15)
    for _ in range(3):
        (values,) = session.read(slow=True)
        assert set(values.values()) == {None}
    fake.set(gpu0_error=0)
    (values,) = session.read(slow=False)

    assert session.errors == ["GPU 0: GPU is lost"]
    assert values["memory_used"] == 2**30


def test_memory_of_processes_is_unknown_until_the_driver_names_one_of_ours(
    fake: FakeDriver, session: NvmlSession
) -> None:
    fake.set(gpu0_pid=7_000_000, gpu0_pidused=300)
    (foreign,) = session.read(slow=True, pids={1234})
    fake.set(gpu0_pid=1234)
    (ours,) = session.read(slow=True, pids={1234})
    fake.set(gpu0_pidused=0)  # as a driver says of a process in another container
    (hidden,) = session.read(slow=True, pids={1234})
    fake.set(gpu0_pid=0)
    (gone,) = session.read(slow=True, pids={1234})

    assert foreign["process_memory"] is None
    assert ours["process_memory"] == 300 * 2**20
    assert hidden["process_memory"] is None
    assert gone["process_memory"] == 0


def test_power_is_added_up_where_the_driver_does_not_count_energy(
    fake: FakeDriver, session: NvmlSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter([10.0, 12.0, 13.0])
    monkeypatch.setattr(nvml_readings, "monotonic", lambda: next(seconds))
    found = []
    for power in ({"gpu0_power": 100_000}, {"gpu0_power": 300_000}, {"gpu0_power_error": 15}):
        fake.set(gpu0_energy_error=3, **power)
        found.append(session.read(slow=False)[0]["power_energy"])
    fake.set(gpu0_power_error=0)
    found.append(session.read(slow=False)[0]["power_energy"])

    assert found == [0, 400, None, 700]


def test_a_gpu_is_idle_while_its_utilisation_is_0(fake: FakeDriver, session: NvmlSession) -> None:
    found = []
    for values in ({"gpu0_utilisation": 1}, {"gpu0_utilisation": 0}, {"gpu0_utilisation_error": 3}):
        fake.set(**values)
        found.append(session.read(slow=False)[0]["idle"])

    assert found == [0, 1, None]


def test_a_critical_error_is_returned_once(fake: FakeDriver, session: NvmlSession) -> None:
    before = session.xids()
    fake.set(xid=79)

    assert (before, session.xids(), session.xids()) == ([], [(0, 79)], [])


def test_reasons_are_spelled_in_words() -> None:
    assert reason_words(0) == ()
    assert reason_words(0x1 | 0x2) == ()
    assert reason_words(0x4 | 0x40) == ("software power cap", "hardware thermal slowdown")
    assert reason_words(0x8000) == ("reason 0x8000",)
