"""The sampler, with real child processes and a fake driver that misbehaves."""

import os
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import nvml
import pytest
from children import answer, child
from nvml import FakeDriver
from waiting import until

from stepkit.gpu.monitor import nvml_readings, timeline
from stepkit.gpu.monitor.sampler import Sampler

MIB = 2**20


def more_samples(sampler: Sampler, count: int = 3) -> None:
    seen = sampler.timeline().samples
    until(lambda: sampler.timeline().samples >= seen + count)


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeDriver]:
    with nvml.installed(tmp_path) as driver:
        yield driver


ALLOCATES = """
print("ready", flush=True); input()
held = bytearray(200 * 2**20); print("held", flush=True); input()
del held; print("free", flush=True); input()
"""


def test_memory_that_a_child_allocates_is_the_peak_of_that_cell() -> None:
    with Sampler(0.02) as sampler, child(ALLOCATES) as process:
        sampler.follow(process.pid)
        times = [time.monotonic()]
        for word in ("held", "free"):
            more_samples(sampler)
            times.append(time.monotonic())
            assert answer(process) == word
        more_samples(sampler)
        times.append(time.monotonic())
    made = sampler.timeline(times[0])
    seconds = [at - times[0] for at in times]

    before, held, after = (rss for _, rss in timeline.peaks(made, list(pairwise(seconds))))

    assert before is not None
    assert held is not None
    assert after is not None
    ((_, last),) = timeline.peaks(made, [(seconds[3], seconds[3])])
    assert last is not None
    assert held - before > 150 * MIB
    assert held - last > 150 * MIB
    assert timeline.summary(made).rss_peak == max(before, held, after)
    assert made.errors == ()


def test_a_process_that_ended_is_not_an_error() -> None:
    with child("print('ready')") as process:
        pass
    with Sampler(0.01) as sampler:
        sampler.follow(process.pid)
        until(lambda: sampler.timeline().samples > 3)

    assert timeline.summary(sampler.timeline()).rss_peak == 0
    assert sampler.timeline().errors == ()


def test_a_gpu_is_sampled_over_time_with_the_processes(fake: FakeDriver) -> None:
    fake.set(devices=2, gpu0_used=1000, gpu1_used=500, gpu0_energy=1000)
    with Sampler(0.01) as sampler:
        sampler.follow(os.getpid())
        until(lambda: sampler.timeline().samples > 2)
        fake.set(gpu0_used=3000, gpu0_energy=51000, gpu0_pid=os.getpid(), xid=31, gpu0_reasons=8)
        more_samples(sampler)
        fake.set(gpu0_used=1000, gpu0_reasons=0)
    made = sampler.timeline()
    found = timeline.summary(made)

    assert [device.memory_baseline for device in found.devices] == [1000 * MIB, 500 * MIB]
    assert [device.memory_peak for device in found.devices] == [3000 * MIB, 500 * MIB]
    assert found.devices[0].process_memory_peak == 512 * MIB
    assert found.devices[0].energy == 50
    assert found.devices[0].clock_reasons == ("hardware slowdown",)
    assert (found.devices[0].xids, found.devices[1].xids) == ((31,), ())
    assert max(peak or 0 for peak, _ in timeline.peaks(made, [(0, 99)])) == 2000 * MIB
    assert found.own_cpu_seconds > 0
    assert found.errors == ()


@pytest.mark.parametrize(
    ("visible", "watched"),
    [(None, [0, 1]), ("1", [1]), ("GPU-fa4e-1,0", [0, 1]), ("GPU-fa4e-0", [0]), ("", []),
     ("-1", []), ("MIG-1", [])],
)  # fmt: skip
def test_gpus_that_the_kernel_does_not_see_are_not_sampled(
    fake: FakeDriver, monkeypatch: pytest.MonkeyPatch, visible: str | None, watched: list[int]
) -> None:
    fake.set(devices=2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with child("print('ready', flush=True); input()") as process, Sampler(0.5) as sampler:
        sampler.follow(process.pid)
        until(lambda: sampler.timeline().samples > 0)

    assert [device.index for device in sampler.timeline().devices] == watched


def test_expensive_samples_become_rarer() -> None:
    sampler = Sampler(0.2)

    assert [sampler._pause(cost) for cost in (0, 0.001, 0.002, 60)] == [0.2, 0.2, 0.4, 5.0]
    assert Sampler(60)._pause(60) == 60


def test_a_gpu_that_is_lost_is_noted_and_sampling_goes_on(fake: FakeDriver) -> None:
    fake.set(gpu0_used=700)
    with Sampler(0.01) as sampler:
        sampler.follow(os.getpid())
        until(lambda: sampler.timeline().samples > 2)
        fake.set(gpu0_error=15)
        until(lambda: sampler.timeline().errors != ())
        more_samples(sampler)
    made = sampler.timeline()

    assert made.errors == ("GPU 0: GPU is lost",)
    assert made.of_device(0, "memory_used")[-1] is None
    assert made.columns["rss"][-1] is not None
    assert timeline.summary(made).devices[0].memory_peak == 700 * MIB


def test_a_driver_that_hangs_does_not_keep_the_run_from_ending(fake: FakeDriver) -> None:
    fake.set(gpu0_used=700)
    with Sampler(0.01, limit=0.05) as sampler:
        until(lambda: sampler.timeline().samples > 2)
        fake.set(hang=1)
        time.sleep(0.1)
    made = sampler.timeline()
    fake.set(hang=0)
    until(lambda: not sampling())

    assert made.errors == ("the driver did not answer within 0.05 s of the run's end",)
    assert timeline.summary(made).devices[0].memory_peak == 700 * MIB


def test_samples_begin_anew_with_what_is_in_use_then(fake: FakeDriver) -> None:
    fake.set(gpu0_used=900, gpu0_energy=1000)
    with Sampler(0.01) as sampler:
        until(lambda: sampler.timeline().samples > 2)
        fake.set(gpu0_used=100, gpu0_energy=5000)
        sampler.begin_anew()
        fake.set(gpu0_used=300, gpu0_energy=7000)
        more_samples(sampler)
    made = sampler.timeline()
    (device,) = timeline.summary(made).devices

    assert (device.memory_baseline, device.memory_peak) == (100 * MIB, 300 * MIB)
    assert device.energy == 2
    assert made.of_device(0, "memory_used")[0] == 100 * MIB


def test_samples_are_kept_where_the_driver_hangs_when_they_shall_begin_anew(
    fake: FakeDriver,
) -> None:
    fake.set(gpu0_used=700)
    with Sampler(0.01, limit=0.05) as sampler:
        until(lambda: sampler.timeline().samples > 2)
        fake.set(hang=1, gpu0_used=100)
        sampler.begin_anew()
        fake.set(hang=0)
        more_samples(sampler)
    (device,) = timeline.summary(sampler.timeline()).devices

    assert device.memory_baseline == 700 * MIB


def test_a_driver_that_hangs_from_the_start_leaves_a_timeline_without_rows(
    fake: FakeDriver,
) -> None:
    fake.set(hang=1)
    with Sampler(0.01, limit=0.05) as sampler:
        sampler.follow(os.getpid())
    made = sampler.timeline()
    fake.set(hang=0)
    until(lambda: not sampling())

    assert list(made.seconds) == []
    assert made.errors == ("the driver did not answer within 0.05 s of the run's end",)


def test_an_error_of_the_sampler_is_noted_not_raised(
    fake: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> list[nvml_readings.Values]:
        raise ZeroDivisionError("ours")

    fake.set(devices=1)
    monkeypatch.setattr(nvml_readings.NvmlSession, "read", broken)
    with Sampler(0.01) as sampler:
        until(lambda: sampler.timeline().errors != ())

    assert sampler.timeline().errors == ("a sample failed: ZeroDivisionError('ours')",)


def test_a_thread_that_cannot_start_is_noted_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", full)
    with Sampler() as sampler:
        sampler.follow(os.getpid())

    assert sampler.timeline().errors == ("the sampler did not start: can't start new thread",)


def test_a_long_run_keeps_its_peak_in_few_rows(fake: FakeDriver) -> None:
    fake.set(gpu0_used=100)
    with Sampler(0.001, rows=4) as sampler:
        until(lambda: sampler.timeline().samples > 6)
        fake.set(gpu0_used=900)
        more_samples(sampler)
        fake.set(gpu0_used=100)
        more_samples(sampler, 6)
    made = sampler.timeline()

    assert len(made.seconds) <= 4
    assert made.stride > 1
    assert max(filter(None, made.of_device(0, "memory_used"))) == 900 * MIB


def test_the_end_takes_a_last_sample_of_everything(fake: FakeDriver) -> None:
    fake.set(gpu0_energy=1000)
    with Sampler(0.01) as sampler:
        until(lambda: sampler.timeline().samples > 0)
        fake.set(gpu0_energy=4000, xid=62)
        sampler.end()
        made = sampler.timeline()
        sampler.end()

    assert not sampling()
    assert timeline.summary(made).devices[0].energy == 3
    assert [xid.number for xid in made.xids] == [62]
    assert sampler.timeline().samples == made.samples


def test_no_file_is_left_open_and_no_thread_running(fake: FakeDriver) -> None:
    fake.set(devices=1)
    with Sampler(0.01) as warm:
        warm.follow(os.getpid())
        until(lambda: warm.timeline().samples > 2)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Sampler(0.01) as sampler:
        sampler.follow(os.getpid())
        until(lambda: "rss" in sampler.timeline().columns)

    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert not sampling()


def sampling() -> bool:
    return any(thread.name == "stepkit-sampler" for thread in threading.enumerate())
