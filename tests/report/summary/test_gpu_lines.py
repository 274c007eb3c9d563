"""The GPU in the summary, from the outputs of execute-notebook."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from step_reports import summary, write_report

from stepkit import steps
from stepkit.gpu.monitor import timeline
from stepkit.gpu.monitor.recorder import Recorder
from stepkit.gpu.monitor.timeline import Timeline, Xid
from stepkit.report import read_step_reports
from stepkit.system.nvml import Device

GIB = 2**30


def page(directory: Path, options: Any = None, **outputs: Any) -> str:
    cells = [
        {"number": number, "id": f"c{number}", "seconds": number, "title": f"step_{number}()",
         "injected": "", "status": "ok", "error": None}
        for number in (1, 2)
    ]  # fmt: skip
    outputs = {"cells-run": 2, "cells-total": 2, "cells": cells, **outputs}
    write_report(directory, "execute-notebook", outputs=outputs, options=options)
    return summary(directory)


def summarised(*rows: Mapping[str, float | None], name: str = "NVIDIA H200", **more: Any) -> Any:
    """Return a run's ``gpu`` output as the step writes it."""
    recorder = Recorder(100)
    for second, row in enumerate(rows):
        recorder.add(second, {f"gpu0.{quantity}": value for quantity, value in row.items()})
    made = Timeline(
        interval=0.2,
        seconds=recorder.seconds(),
        columns=recorder.columns(),
        extents=recorder.extents(),
        devices=(Device(index=0, name=name, memory_total=150 * GIB),),
        **more,
    )
    return asdict(timeline.summary(made))


QUIET = {"memory_used": 41 * GIB, "utilisation": 37, "power": 612.0, "temperature": 61}


def test_a_gpu_has_a_line_and_its_memorys_allocator_is_named(tmp_path: Path) -> None:
    text = page(tmp_path, gpu=summarised(QUIET), allocator="pool of 4 GiB, may grow")

    expected = (
        "GPU 0 (NVIDIA H200): 41.0 GiB of 150.0 GiB in use at most, 37 % busy on average, "
        "612 W at most, 61 °C at most.  \nAllocator of GPU memory: pool of 4 GiB, may grow.\n"
    )
    assert expected in text
    assert "GPU warning" not in text


def test_idle_time_and_energy_are_said_with_the_source_of_energy(tmp_path: Path) -> None:
    rows = [{"idle": float(n > 2), "power_energy": 20_000.0 * n} for n in range(5)]
    text = page(tmp_path, gpu=summarised(*rows))

    expected = (
        "GPU 0 (NVIDIA H200): idle 50 % of the time, 80.0 kJ used (power added up over time)."
    )
    assert expected in text
    assert " · below 0.001 GPU-hours · GPU idle 50 % · 80.0 kJ · " in text


def test_what_the_driver_does_not_report_is_not_shown_as_zero(tmp_path: Path) -> None:
    mig = page(tmp_path, gpu=summarised({"memory_used": GIB, "utilisation": None}))
    assert "GPU 0 (NVIDIA H200): 1.0 GiB of 150.0 GiB in use at most.\n" in mig

    silent = page(tmp_path, gpu=summarised({"memory_used": None}, name="<b>A|100</b>"))
    assert r"GPU 0 (&lt;b&gt;A\|100&lt;/b&gt;): the driver reports nothing about it." in silent


def test_a_run_without_a_gpu_does_not_mention_one(tmp_path: Path) -> None:
    before = page(tmp_path)

    assert "GPU" not in before
    assert page(tmp_path, gpu=None, guard=None, allocator="", attempts=[]) == before
    measured = page(tmp_path, gpu={"devices": [], "errors": []})
    assert measured.replace(" · no GPU · ", " · ") == before


def test_a_guard_that_was_asked_for_and_not_active_is_a_warning(tmp_path: Path) -> None:
    guard = {"active": False, "peak": None, "warnings": ["rmm is <old>"]}
    warning = "**GPU warning:** the guard of GPU memory was not active\n"

    assert warning in page(tmp_path, guard=guard, gpu=summarised(QUIET))
    assert warning in page(tmp_path, guard=guard, gpu=None)  # without samples
    assert warning not in page(tmp_path, guard=guard, gpu={"devices": [], "errors": []})
    assert "**GPU warning:** rmm is &lt;old&gt;\n" in page(tmp_path, guard=guard)
    assert "GPU warning" not in page(tmp_path, guard={"active": True, "peak": 5})


def test_each_fault_of_a_gpu_is_a_warning(tmp_path: Path) -> None:
    bad = {"clock_reasons": 0x44, "ecc_uncorrected": 3, "retired": 1}
    rows = [{"clock_reasons": 4, "ecc_uncorrected": 1, "retired": 0}, bad]
    xids = (Xid(seconds=1, device=0, number=79),)
    text = page(tmp_path, gpu=summarised(*rows, xids=xids, errors=("GPU 0: GPU is lost",)))

    for warning in (
        "GPU 0: the driver reports XID 79",
        "GPU 0: 2 uncorrected memory errors during the run",
        "GPU 0: 1 memory row or page was taken out of use during the run",
        "GPU 0 was slowed down: hardware thermal slowdown",
        "not all was measured: GPU 0: GPU is lost",
    ):
        assert f"**GPU warning:** {warning}\n" in text


def test_a_gpu_at_its_power_limit_is_not_a_warning(tmp_path: Path) -> None:
    assert "GPU warning" not in page(tmp_path, gpu=summarised({**QUIET, "clock_reasons": 4}))


def test_at_most_eight_warnings_are_shown(tmp_path: Path) -> None:
    text = page(tmp_path, guard={"active": True, "warnings": [f"w{n}" for n in range(12)]})

    assert text.count("**GPU warning:**") == 8
    assert "\nand 4 more GPU warnings\n" in text


def test_cells_have_a_column_of_gpu_peaks_only_if_one_used_a_gpu(tmp_path: Path) -> None:
    def cell(number: int, **more: Any) -> dict[str, Any]:
        return {"number": number, "id": f"c{number}", "seconds": 3.0 - number, "status": "ok",
                "title": "x", "injected": "", "error": None, **more}  # fmt: skip

    used = page(tmp_path, cells=[cell(1, gpu_peak=2 * GIB), cell(2, gpu_peak=None)])
    assert "| slowest cells | time | share | GPU peak | code |" in used
    assert "| 1 | 2.0 s | 67 % | 2.0 GiB | `x` |" in used
    assert "| 2 | 1.0 s | 33 % |  | `x` |" in used

    unused = page(tmp_path, cells=[cell(1, gpu_peak=0), cell(2, gpu_peak=None)])
    assert "| slowest cells | time | share | code |" in unused


@pytest.mark.parametrize(
    ("outputs", "why"),
    [
        ({"gpu": []}, "outputs.gpu must be a mapping or null, not []"),
        ({"gpu": {"devices": 3}}, "outputs.gpu.devices must be a list or null, not 3"),
        ({"gpu": {"devices": [{}]}}, "outputs.gpu.devices[0] needs index"),
        ({"gpu": {"devices": [{"index": 0, "name": 1}]}}, "outputs.gpu.devices[0].name must be"),
        (
            {"gpu": {"devices": [{"index": 0, "xids": ["x"]}]}},
            "outputs.gpu.devices[0].xids[0] must",
        ),
        ({"guard": {"warnings": "x"}}, 'outputs.guard.warnings must be a list or null, not "x"'),
        ({"guard": 1}, "outputs.guard must be a mapping or null, not 1"),
        ({"attempts": [{"number": 1}]}, "outputs.attempts[0] needs rung and status and message"),
        ({"allocator": 1}, "outputs.allocator must be text or null, not 1"),
    ],
)
def test_a_wrong_shape_of_the_gpus_outputs_is_named(
    tmp_path: Path, outputs: dict[str, Any], why: str
) -> None:
    page(tmp_path, **outputs)
    entry = read_step_reports.read(tmp_path / "execute-notebook.json", steps.in_report)

    assert entry.status == "failed"
    assert f"its report execute-notebook.json cannot be read: {why}" in entry.message
