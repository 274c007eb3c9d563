import importlib
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from stepkit.formats import prometheus_text
from stepkit.gpu.monitor.summary import DeviceSummary, Summary
from stepkit.notebook import notebook_metrics

UNKNOWN: dict[str, Any] = dict.fromkeys(DeviceSummary.__annotations__)
DEVICE = DeviceSummary(
    **UNKNOWN
    | {
        "index": 0,
        "name": 'NVIDIA "H200"\\x',
        "uuid": "GPU-1",
        "driver": "570.124.06",
        "memory_total": 80 * 2**30,
        "memory_peak": 41 * 2**30,
        "utilisation_mean": 37.4,
        "idle": 0.38,
        "power_max": 612.5,
        "clock_reasons": ("software power cap", "hardware slowdown"),
        "ecc_uncorrected": 0,
        "xids": (79, 13, 79),
    }
)
SUMMARY = Summary(
    devices=(DEVICE,),
    cpu_seconds=12.5,
    rss_peak=3_000_000_000,
    processes_max=4,
    interval=0.2,
    samples=50,
    seconds=10.0,
    longest_pause=0.25,
    own_cpu_seconds=0.02,
    errors=(),
)

# One line of the text format, as its specification spells it.
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\\\|\\"|\\n)*"'
SAMPLE = re.compile(
    rf"(stepkit_[a-z0-9_]+)(\{{{LABEL}(?:,{LABEL})*\}})? (-?[0-9.]+(?:e-?[0-9]+)?|NaN|[+-]Inf)"
)


def written(labels: Mapping[str, str] = {"notebook": "a"}, **more: Any) -> dict[str, float]:
    """Make the metrics, and read them as strictly as Prometheus does."""
    usual: dict[str, Any] = {
        "sampled": asdict(SUMMARY),
        "status": "succeeded",
        "exit_code": 0,
        "seconds": 10.25,
        "cells": {"total": 17, "run": 17},
        "finished": 1_795_000_000.5,
    }
    gauges = notebook_metrics.gauges(**{**usual, **more})
    text = "".join(prometheus_text.lines(prometheus_text.labelled(gauges, labels)))
    assert text.endswith("\n")
    _check_with_the_real_parser(text)
    return _parsed(text)


def _parsed(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    announced: list[str] = []
    for line in text.removesuffix("\n").split("\n"):
        if line.startswith("# HELP "):
            name, _, text = line.removeprefix("# HELP ").partition(" ")
            assert name not in announced, "the lines of a metric stay together"
            assert text.endswith(".")
            announced.append(name)
        elif line.startswith("# TYPE "):
            assert line == f"# TYPE {announced[-1]} gauge"
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample, line
            assert sample[1] == announced[-1]
            series = f"{sample[1].removeprefix('stepkit_')}{sample[2] or ''}"
            assert series not in found
            found[series] = float(sample[3])
    return found


def _check_with_the_real_parser(text: str) -> None:
    if importlib.util.find_spec("prometheus_client"):
        parser = importlib.import_module("prometheus_client.parser")
        assert list(parser.text_string_to_metric_families(text))


def test_a_run_and_its_gpu_are_written_in_base_units() -> None:
    found = written()

    gpu = '{notebook="a",gpu="0",uuid="GPU-1"}'
    assert found['notebook_success{notebook="a"}'] == 1
    assert found['notebook_status{notebook="a",status="succeeded"}'] == 1
    assert found['notebook_status{notebook="a",status="failed"}'] == 0
    assert found['notebook_duration_seconds{notebook="a"}'] == 10.25
    assert found['notebook_finished_timestamp_seconds{notebook="a"}'] == 1_795_000_000.5
    assert found['notebook_cells{notebook="a",state="run"}'] == 17
    assert found['notebook_memory_peak_bytes{notebook="a"}'] == 3_000_000_000
    assert found[f"gpu_memory_total_bytes{gpu}"] == 80 * 2**30
    assert found[f"gpu_utilization_mean_ratio{gpu}"] == 0.374
    assert found[f"gpu_idle_ratio{gpu}"] == 0.38
    assert found['notebook_gpu_seconds{notebook="a"}'] == 10.25
    assert found[f"gpu_power_max_watts{gpu}"] == 612.5
    assert found[f"gpu_ecc_uncorrected_errors{gpu}"] == 0


def test_reasons_and_errors_have_a_series_each() -> None:
    found = written(labels={})

    gpu = '{gpu="0",uuid="GPU-1"'
    assert found[f'gpu_clock_event{gpu},reason="hardware slowdown"}}'] == 1
    assert found[f'gpu_xid_errors{gpu},xid="79"}}'] == 2
    assert found[f'gpu_xid_errors{gpu},xid="13"}}'] == 1


def test_unknown_values_are_left_out() -> None:
    found = written()

    assert not [series for series in found if series.startswith("gpu_energy")]
    assert not [series for series in found if series.startswith("gpu_temperature")]


def test_a_run_that_was_not_sampled_has_metrics_too() -> None:
    found = written(sampled=None, status="failed", exit_code=3, labels={})

    assert found["notebook_success"] == 0
    assert found["notebook_exit_code"] == 3
    assert found['notebook_status{status="failed"}'] == 1
    assert not [series for series in found if series.startswith(("gpu", "sampler"))]


def test_values_of_labels_are_escaped() -> None:
    found = written(labels={"notebook": 'a"b\\c\nd\ud800'})

    assert r'notebook_success{notebook="a\"b\\c\nd?"}' in found
    assert any(r'name="NVIDIA \"H200\"\\x"' in series for series in found)


def test_instances_of_one_gpu_stay_apart() -> None:
    both = tuple(replace(DEVICE, uuid=uuid, xids=()) for uuid in (None, None))
    found = written(sampled=asdict(replace(SUMMARY, devices=both)))

    assert len([series for series in found if series.startswith("gpu_memory_peak")]) == 2
    assert found['notebook_gpu_seconds{notebook="a"}'] == 20.5


def test_no_gpu_seconds_are_claimed_where_no_gpu_was_seen() -> None:
    found = written(sampled=asdict(replace(SUMMARY, devices=())))

    assert not [series for series in found if "gpu_seconds" in series]


def test_values_of_another_type_are_unknown() -> None:
    devices = [{"index": 0, "memory_peak": "much", "xids": 3}, "no device"]
    found = written(sampled={"devices": devices, "rss_peak": True, "samples": None})

    assert found['gpu_info{notebook="a",gpu="0",uuid="unknown-0",name="",driver=""}'] == 1
    assert found['notebook_gpu_seconds{notebook="a"}'] == 10.25
    assert not [s for s in found if "peak" in s or "xid" in s or "samples" in s]
