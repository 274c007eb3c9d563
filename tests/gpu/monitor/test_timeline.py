import gzip
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepkit.errors import ConfigurationError
from stepkit.gpu.monitor import timeline
from stepkit.gpu.monitor.recorder import Recorder
from stepkit.gpu.monitor.timeline import Extent, Timeline, Xid
from stepkit.notebook.attempt_files import TIMELINE
from stepkit.system.nvml import Device

GIB = 2**30


def recorded(rows: list[dict[str, Any]], *, most: int = 100, step: float = 1.0) -> Timeline:
    recorder = Recorder(most)
    for number, row in enumerate(rows):
        recorder.add(number * step, row)
    return of(recorder)


def of(recorder: Recorder, **more: Any) -> Timeline:
    columns = recorder.columns()
    gpus = {name.split(".")[0] for name in columns if name.startswith("gpu")}
    return Timeline(
        interval=0.2,
        seconds=recorder.seconds(),
        columns=columns,
        extents=recorder.extents(),
        devices=tuple(Device(index=number, memory_total=80 * GIB) for number in range(len(gpus))),
        stride=recorder.stride,
        samples=recorder.samples,
        longest_pause=recorder.longest_pause,
        **more,
    )


def test_an_unknown_quantity_is_a_gap() -> None:
    made = recorded([{"rss": 1}, {"rss": None, "gpu0.power": 3.5}, {}])

    assert made.columns == {"rss": [1, None, None], "gpu0.power": [None, 3.5, None]}


def test_a_mean_is_over_time() -> None:
    recorder = Recorder(100)
    for seconds, power in ((0.0, 900.0), (1.0, 100.0), (4.0, 200.0)):
        recorder.add(seconds, {"power": power})

    assert recorder.extents()["power"] == Extent(first=900, last=200, highest=900, mean=175)
    assert recorder.longest_pause == 3.0


@given(st.lists(st.none() | st.integers(0, 1 << 50), max_size=300), st.integers(2, 20))
def test_thinning_bounds_the_rows_and_keeps_every_peak(values: list[int | None], most: int) -> None:
    made = recorded([{"rss": value} for value in values], most=most)
    known = [value for value in values if value is not None]
    column = [value for value in made.columns.get("rss", []) if value is not None]

    assert len(made.seconds) <= most
    assert made.samples == len(values)
    assert list(made.seconds) == sorted(set(made.seconds))
    assert max(column, default=None) == max(known, default=None)
    if known:
        assert made.extents["rss"].highest == max(known)
        assert (made.extents["rss"].first, made.extents["rss"].last) == (known[0], known[-1])


@given(st.lists(st.booleans(), min_size=1, max_size=300), st.integers(2, 20))
def test_thinning_keeps_the_share_of_idle_samples(busy: list[bool], most: int) -> None:
    made = recorded([{"gpu0.idle": float(not each)} for each in busy], most=most)
    last = len(busy) % made.stride or made.stride
    counts = [*[made.stride] * (len(made.seconds) - 1), last]

    total = sum(
        (share or 0) * count for share, count in zip(made.of_device(0, "idle"), counts, strict=True)
    )

    assert total == pytest.approx(busy.count(False))


@given(st.data())
def test_a_window_finds_its_peak_however_many_rows_are_thinned_out(data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 200))
    peak = data.draw(st.integers(0, length - 1))
    rows = [{"rss": 7 if number == peak else 1} for number in range(length)]
    made = recorded(rows, most=data.draw(st.integers(2, 40)))
    began, lasted = data.draw(st.integers(0, peak)), data.draw(st.integers(0, 50))

    ((_, rss),) = timeline.peaks(made, [(began - 0.4, peak + lasted + 0.4)])

    assert rss == 7


def test_thinning_keeps_all_reasons_of_lower_clocks() -> None:
    name = "gpu0.clock_reasons"
    made = recorded([{name: bits} for bits in (0, 4, 0x40, 0)], most=2)

    assert made.columns[name] == [4, 0x40]
    assert made.extents[name].highest == 0x44


def test_the_change_in_a_window_is_of_its_last_sample_against_the_last_one_before() -> None:
    used = [{"gpu0.memory_used": gib * GIB} for gib in (1, 3, 2, 2)] + [{}]
    windows = [(0, 1), (1.5, 2.5), (0.5, 3), (1, 1.5), (-2, -1), (3.5, 9)]

    found = timeline.changes(recorded(used), windows)

    assert found == [2 * GIB, -GIB, GIB, None, None, None]


def test_cells_have_the_peaks_of_their_own_samples() -> None:
    rows = [{"rss": 10 + n, "gpu0.memory_used": n * GIB} for n in (1, 2, 9, 4)]
    found = timeline.peaks(recorded(rows), [(0, 1), (1.5, 2.5), (2.9, 3.1)])

    assert found == [(1 * GIB, 12), (8 * GIB, 19), (3 * GIB, 14)]


def test_a_cell_between_two_samples_has_the_higher_of_both() -> None:
    made = recorded([{"rss": 5}, {"rss": 3}, {"rss": 8}])

    found = timeline.peaks(made, [(0.2, 0.3), (1.2, 1.3), (-2, -1), (7, 9)])

    assert [rss for _, rss in found] == [5, 8, 5, 8]


def test_gpu_memory_is_of_all_devices_beyond_what_was_in_use_before() -> None:
    first = {"gpu0.memory_used": 2 * GIB, "gpu1.memory_used": 30 * GIB}
    second = {"gpu0.memory_used": 6 * GIB, "gpu1.memory_used": 29 * GIB}
    made = recorded([first, second, {"gpu0.memory_used": 3 * GIB, "gpu1.memory_used": None}])

    found = timeline.peaks(made, [(0, 0), (1, 1), (2, 2)])

    assert [gpu for gpu, _ in found] == [0, 4 * GIB, 1 * GIB]


def test_a_quantity_without_samples_has_no_peak() -> None:
    assert timeline.peaks(recorded([]), [(0, 1)]) == [(None, None)]
    assert timeline.peaks(recorded([{"gpu0.memory_used": None}]), [(0, 1)]) == [(None, None)]


@pytest.fixture
def full() -> Timeline:
    recorder = Recorder(100)
    for second in range(5):
        recorder.add(
            second - 0.125,
            {
                "rss": second * GIB,
                "cpu_seconds": second * 0.5,
                "processes": 3,
                "gpu0.memory_used": (1 + second) * GIB,
                "gpu0.utilisation": None if second < 3 else 40 + second,
                "gpu0.energy": 1000 + second * 250.5,
                "gpu0.clock_reasons": 0x40 if second == 2 else 0,
                "gpu0.ecc_uncorrected": 5 if second == 4 else 3,
            },
        )
    xids = (Xid(seconds=1.5, device=0, number=79), Xid(seconds=2.5, device=4, number=13))
    return of(recorder, xids=xids, errors=("GPU 0: GPU is lost",), own_cpu_seconds=0.0123)


def test_a_summary_holds_what_a_gpu_did_and_none_for_unknown_values(full: Timeline) -> None:
    found = timeline.summary(full)
    (device,) = found.devices

    assert (device.memory_total, device.memory_baseline) == (80 * GIB, GIB)
    assert device.memory_peak == 5 * GIB
    assert (device.utilisation_mean, device.utilisation_max) == (43.5, 44)
    assert (device.energy, device.power_mean, device.temperature_max) == (1002, None, None)
    assert (device.energy_source, device.idle) == ("counter", None)
    assert device.clock_reasons == ("hardware thermal slowdown",)
    assert (device.ecc_uncorrected, device.retired) == (2, None)
    assert device.xids == (79,)
    assert (found.rss_peak, found.cpu_seconds, found.processes_max) == (4 * GIB, 2, 3)
    assert (found.samples, found.seconds, found.longest_pause) == (5, 4, 1)
    assert found.errors == ("GPU 0: GPU is lost",)
    assert json.loads(json.dumps(asdict(found)))["own_cpu_seconds"] == 0.0123


def test_a_summary_says_where_energy_comes_from_and_how_long_a_gpu_was_idle() -> None:
    rows = [{"gpu0.power_energy": 40.0 * n, "gpu0.idle": float(n < 2)} for n in range(5)]
    (device,) = timeline.summary(recorded(rows)).devices
    (other,) = timeline.summary(recorded([{"gpu0.power": 1}])).devices

    assert (device.energy, device.energy_source, device.idle) == (160, "power", 0.25)
    assert (other.energy, other.energy_source, other.idle) == (None, None, None)


def test_the_energy_of_a_counter_that_was_set_back_is_unknown() -> None:
    rows = [{"gpu0.energy": joules} for joules in (900.0, 950.0, 3.0)]
    (device,) = timeline.summary(recorded(rows)).devices

    assert (device.energy, device.energy_source) == (None, None)


def test_the_energy_of_a_driver_that_ceased_to_answer_is_unknown() -> None:
    rows: list[dict[str, Any]] = [{"gpu0.energy": joules} for joules in (900, 950, None)]
    (device,) = timeline.summary(recorded(rows)).devices

    assert (device.energy, device.energy_source) == (None, None)


def test_an_empty_run_has_a_summary() -> None:
    found = timeline.summary(recorded([]))

    assert (found.devices, found.cpu_seconds, found.rss_peak, found.seconds) == ((), None, None, 0)


def test_a_written_timeline_can_be_read(tmp_path: Path, full: Timeline) -> None:
    path = tmp_path / f"a{TIMELINE}"
    timeline.write(full, path)

    assert timeline.summary(timeline.read(path)) == timeline.summary(full)
    assert timeline.read(path).columns == full.columns
    assert timeline.read(path).seconds == [-0.125, 0.875, 1.875, 2.875, 3.875]
    assert timeline.peaks(timeline.read(path), [(1, 3)]) == timeline.peaks(full, [(1, 3)])


def test_the_same_timeline_gives_the_same_bytes(tmp_path: Path, full: Timeline) -> None:
    timeline.write(full, tmp_path / "a")
    timeline.write(replace(full), tmp_path / "b")

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes()[4:8] == bytes(4)  # the time in gzip's header


def test_a_timeline_with_unknown_fields_can_be_read(tmp_path: Path, full: Timeline) -> None:
    timeline.write(full, tmp_path / "a")
    data = json.loads(gzip.decompress((tmp_path / "a").read_bytes()))
    (tmp_path / "b").write_bytes(gzip.compress(json.dumps({**data, "later": 1}).encode()))

    assert timeline.read(tmp_path / "b") == timeline.read(tmp_path / "a")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"schema": "stepkit.timeline/9"}, "its schema is 'stepkit.timeline/9'"),
        ({"seconds": [1, "2"]}, "its seconds are not a list of numbers"),
        ({"columns": {"rss": [1]}}, "its column rss has 1 rows, not 5"),
        ({"columns": {"rss": ["x"] * 5}}, "its column rss is not a list of numbers"),
    ],
)
def test_a_file_that_is_not_a_timeline_is_refused(
    tmp_path: Path, full: Timeline, change: dict[str, Any], why: str
) -> None:
    timeline.write(full, tmp_path / "a")
    data = json.loads(gzip.decompress((tmp_path / "a").read_bytes()))
    (tmp_path / "b").write_bytes(gzip.compress(json.dumps({**data, **change}).encode()))

    with pytest.raises(ConfigurationError, match=f"b is not a timeline of stepkit: {why}"):
        timeline.read(tmp_path / "b")


def test_a_truncated_file_is_refused(tmp_path: Path, full: Timeline) -> None:
    timeline.write(full, tmp_path / "a")
    whole = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(ConfigurationError, match="a is not a timeline of stepkit: it is cut off"):
        timeline.read(tmp_path / "a")
    with pytest.raises(ConfigurationError, match="cannot read"):
        timeline.read(tmp_path / "none")


def test_the_peak_of_all_gpus_is_that_of_the_fullest_one() -> None:
    both = recorded([{"gpu0.memory_used": 3, "gpu1.memory_used": 5}, {"gpu0.memory_used": 4}])

    assert timeline.summary(both).memory_peak == 5


def test_gpus_whose_memory_is_unknown_have_no_peak() -> None:
    assert timeline.summary(recorded([{"gpu0.power": 90.0}])).memory_peak is None
    assert timeline.summary(recorded([{"rss": 1}])).memory_peak is None
