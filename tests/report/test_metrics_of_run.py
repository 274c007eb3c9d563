import re
from typing import Any

import pytest
import run_records

from stepkit.formats import prometheus_text
from stepkit.report import metrics_of_run
from stepkit.report.run_json import RunJson


def written(run: RunJson) -> dict[str, str]:
    """Return each series of the metrics of ``run``, and its value."""
    lines = "".join(prometheus_text.lines(metrics_of_run.gauges(run))).splitlines()
    series = [line.rpartition(" ")[::2] for line in lines if not line.startswith("#")]
    assert len(dict(series)) == len(series), "each series is there once"
    return dict(series)


@pytest.mark.parametrize("name", run_records.RUNS)
def test_every_run_has_metrics_whose_labels_are_known(name: str) -> None:
    run = run_records.RUNS[name]()
    found = written(run)

    assert found[f'stepkit_run_verdict{{verdict="{run["verdict"]}"}}'] == "1"
    assert [v for s, v in found.items() if s.startswith("stepkit_run_verdict")].count("1") == 1
    assert {label for series in found for label in re.findall(r'(\w+)="', series)} <= (
        metrics_of_run.LABELS
    )


def test_a_run_that_passed_has_its_length_its_steps_and_its_gpus() -> None:
    run = run_records.run()
    found = written(run)

    assert found["stepkit_run_success"] == "1"
    assert float(found["stepkit_run_duration_seconds"]) == (run["duration_ms"] or 0) / 1000
    steps = {f'stepkit_run_step_duration_seconds{{step="{s["name"]}"}}' for s in run["steps"]}
    assert steps <= found.keys()
    tests = run["tests"][0]
    key = f'stepkit_run_tests{{step="{tests["step"]}",state="passed"}}'
    assert found[key] == str(tests["passed"])
    assert float(found["stepkit_run_gpu_seconds"]) == round((run["gpu_hours"] or 0) * 3600, 3)


def test_the_end_of_a_run_is_that_of_its_clock() -> None:
    run = run_records.run(started="2026-11-30T00:00:10.500+00:00", duration_ms=9_500)

    assert written(run)["stepkit_run_finished_timestamp_seconds"] == "1795996820"


def test_a_run_of_an_absurd_length_has_metrics() -> None:
    run = run_records.run(started="2026-11-30T00:00:00.000+00:00", duration_ms=251_606_966_400_000)

    finished = float(written(run)["stepkit_run_finished_timestamp_seconds"])
    assert finished == 1_795_996_800 + 251_606_966_400


@pytest.mark.parametrize(
    ("verdict", "success"), [("flaky", "1"), ("failed", "0"), ("incomplete", "0")]
)
def test_only_a_run_that_passed_in_the_end_is_a_success(verdict: Any, success: str) -> None:
    assert written(run_records.run(verdict=verdict))["stepkit_run_success"] == success


def test_each_notebook_has_the_metrics_of_its_own_run() -> None:
    device = run_records.device(memory_peak=72 * 2**30, utilisation_mean=43.0)
    notebooks = [
        run_records.notebook(name="a", variant="lite", gpu=run_records.gpu(devices=[device])),
        run_records.notebook(name="b", variant="", status="failed", exit_code=3, gpu=None),
    ]
    found = written(run_records.run(notebooks=notebooks))

    assert found['stepkit_notebook_success{notebook="a",variant="lite"}'] == "1"
    assert found['stepkit_notebook_status{notebook="a",variant="lite",status="succeeded"}'] == "1"
    assert found['stepkit_notebook_success{notebook="b"}'] == "0"
    assert found['stepkit_notebook_exit_code{notebook="b"}'] == "3"
    gpu = '{notebook="a",variant="lite",gpu="0",uuid="GPU-0000-0"}'
    assert found[f"stepkit_gpu_memory_peak_bytes{gpu}"] == str(72 * 2**30)
    assert found[f"stepkit_gpu_utilization_mean_ratio{gpu}"] == "0.43"
    assert not [s for s in found if s.startswith("stepkit_gpu") and 'notebook="b"' in s]


def test_a_notebook_ends_on_the_clock_of_the_run_and_its_injected_cells_do_not_count() -> None:
    cells = run_records.cells(3)
    cells[0].update({"number": 0, "injected": "parameters"})
    notebook = run_records.notebook(name="a", start_ms=20_000, duration_ms=5_500, cells=cells)
    run = run_records.run(notebooks=[notebook], started="2026-11-30T00:00:00.000+00:00")
    found = written(run)

    (ended,) = [v for s, v in found.items() if s.startswith("stepkit_notebook_finished")]
    assert ended == "1795996825.5"
    (ok,) = [v for s, v in found.items() if 'state="ok"' in s]
    assert ok == "2"


def test_a_notebook_that_was_reused_has_no_metrics_of_this_run() -> None:
    notebooks = [run_records.notebook(name="a", status="reused", reused_from="run-1")]

    found = written(run_records.run(notebooks=notebooks))
    assert not [s for s in found if s.startswith("stepkit_notebook")]
