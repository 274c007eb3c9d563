from typing import Any

import run_records

from stepkit.report.page import timeline_chart

GIB = run_records.GIB


def draw(timeline: dict[str, Any] | None, **values: Any) -> timeline_chart.Chart:
    chart = timeline_chart.draw(run_records.notebook(**values), timeline)
    assert chart is not None
    return chart


def samples(seconds: list[float], **columns: list[float | None]) -> dict[str, Any]:
    return {
        "seconds": seconds,
        "columns": {name.replace("gpu0_", "gpu0."): column for name, column in columns.items()},
        "devices": [{"index": 3, "memory_total": 80 * GIB}],
        "xids": [],
    }


def test_cells_and_samples_share_a_clock() -> None:
    one = run_records.cell(1, start_ms=9_000, duration_ms=2_000)
    timeline = samples([-1, 0, 9], rss=[1, 1, 1])

    chart = draw(timeline, cells=[one], timeline_start_ms=6_000)

    (bar,) = chart.cells
    assert (bar.left, bar.width) == (40.0, 20.0), "3 s to 5 s of -1 s to 9 s"
    assert [tick.label for tick in chart.ticks][:2] == ["0 s", "2 s"]
    assert chart.ticks[0].at == 10


def test_a_limit_is_drawn_where_memory_comes_near_it() -> None:
    near = samples([0, 1], gpu0_memory_used=[GIB, 60 * GIB])
    far = samples([0, 1], gpu0_memory_used=[GIB, 2 * GIB])

    labels = [
        [rule.label for rule in draw(t, guard={"peak": None}).lanes[0].rules] for t in (near, far)
    ]

    assert labels == [["80.0 GiB"], []]
    assert draw(far).lanes[0].detail == "2.0 GiB at most of 80.0 GiB in total"


def test_the_guard_s_peak_is_a_line_inside_the_lane() -> None:
    lane = draw(samples([0, 1], gpu0_memory_used=[0, GIB]), guard={"peak": 2 * GIB}).lanes[0]

    assert lane.name == "GPU 3 memory"
    assert [rule.label for rule in lane.rules] == ["guard: 2.0 GiB at most"]
    assert 14 <= lane.rules[0].y < lane.height


def test_lowered_clocks_are_marked_but_not_the_power_limit() -> None:
    timeline = samples(
        [0, 1, 2, 3, 4], gpu0_memory_used=[1] * 5, gpu0_clock_reasons=[0, 0x40, 0x40, 0x4, None]
    )

    chart = draw(timeline, cells=[])

    assert chart.lanes[0].strips == [(25.0, 50.0)]


def test_errors_of_the_driver_are_marks_in_time() -> None:
    timeline = samples([0, 10], rss=[1, 1])
    timeline["xids"] = [{"seconds": 5, "device": 0, "number": 79}, {"number": 1}]

    assert [(e.at, e.label) for e in draw(timeline, cells=[]).events] == [(50.0, "XID 79")]


def test_cpu_seconds_become_cores() -> None:
    timeline = samples([0, 1, 2, 3, 4], cpu_seconds=[0, None, 4, None, 5])

    assert [lane.detail for lane in draw(timeline, cells=[]).lanes] == ["2.0 cores at most"]


def test_without_samples_the_cells_are_drawn_alone() -> None:
    chart = draw(None, timeline_start_ms=None)

    assert chart.lanes == []
    assert chart.cells[0].left == 0


def test_without_the_zero_of_the_samples_no_cell_is_drawn() -> None:
    assert draw(samples([0, 9], rss=[1, 1]), timeline_start_ms=None).cells == []


def test_nothing_with_a_time_is_no_chart() -> None:
    assert timeline_chart.draw(run_records.notebook(cells=[]), None) is None


def test_lanes_of_many_gpus_are_low() -> None:
    heights = [draw(run_records.timeline(n)).height for n in (2, 8)]

    assert heights[1] < 3 * heights[0]


def test_the_start_of_the_kernel_is_marked() -> None:
    assert draw(samples([-1, 0, 9], rss=[1, 1, 1]), cells=[]).before == 10
    assert draw(samples([0, 9], rss=[1, 1]), cells=[]).before == 0


def test_each_lane_says_its_highest_value_and_where_it_is() -> None:
    timeline = samples(
        [0, 1], gpu0_memory_used=[0, GIB], gpu0_utilisation=[5, 40], cpu_seconds=[0, 2]
    )

    lanes = draw(timeline, cells=[], guard={"peak": None}).lanes

    assert [lane.highest for lane in lanes] == ["1.0 GiB", "100 %", "2.0"]
    assert [round(lane.high / lane.height, 2) for lane in lanes] == [0.09, 0, 0.09]


def test_two_values_of_the_cpu_are_a_level_and_one_is_not_drawn() -> None:
    (lane,) = draw(samples([0, 10], cpu_seconds=[0, 5]), cells=[]).lanes

    assert lane.path.startswith("M0 40V")
    assert "l599 0" in lane.path or "h599" in lane.path
    assert draw(samples([0, 10], rss=[1, 1], cpu_seconds=[3, None]), cells=[]).lanes[1:] == []
