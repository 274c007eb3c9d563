"""The figures of a run, from its record alone, as Prometheus metrics."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, get_args

from stepkit.formats.prometheus_text import Gauge, each, labelled, one
from stepkit.notebook import notebook_metrics
from stepkit.report.run_clock import read_time
from stepkit.report.run_json import Verdict
from stepkit.report.run_json_notebook import CellStatus
from stepkit.report.steps_of_run import GOOD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.report.run_json import RunJson
    from stepkit.report.run_json_notebook import NotebookJson

# Names of labels below: a label of the whole run with such a name would take their place.
LABELS: Final = frozenset(
    {"notebook", "variant", "verdict", "step", "state", "status"}
    | {"gpu", "uuid", "name", "driver", "reason", "xid"}
)


def gauges(run: RunJson) -> Iterator[Gauge]:
    """Yield the metrics of ``run``, and of each notebook that it ran; a reused one did not run."""
    yield one("stepkit_run_success", "Whether the run passed.", float(run["verdict"] in GOOD))
    yield each(
        "stepkit_run_verdict",
        "How the run ended.",
        "verdict",
        {verdict: float(verdict == run["verdict"]) for verdict in get_args(Verdict)},
    )
    yield one("stepkit_run_duration_seconds", "Length of the run.", _seconds(run["duration_ms"]))
    yield one(
        "stepkit_run_finished_timestamp_seconds",
        "End of the run, since 1970.",
        _end(run, 0, run["duration_ms"]),
    )
    yield one("stepkit_run_tolerated_errors", "Errors that were tolerated.", run["tolerated"])
    yield each(
        "stepkit_run_step_duration_seconds",
        "Length of each step.",
        "step",
        {step["name"]: _seconds(step["duration_ms"]) for step in run["steps"]},
    )
    for tests in run["tests"]:
        counts = {state: tests[state] for state in ("passed", "failed", "errors", "skipped")}
        found = each("stepkit_run_tests", "Tests by state.", "state", counts)
        yield from labelled([found], {"step": tests["step"]})
    held = run["gpu_hours"]
    yield one(
        "stepkit_run_gpu_seconds",
        "Time for which notebooks held GPUs.",
        None if held is None else round(held * 3600, 3),
    )
    yield one("stepkit_run_gpu_idle_ratio", "Share of it without a kernel.", run["gpu_idle"])
    yield one("stepkit_run_gpu_energy_joules", "Energy that the GPUs used.", run["energy"])
    ran = {(n["name"], n["variant"]): n for n in run["notebooks"] if n["reused_from"] is None}
    for (name, variant), notebook in ran.items():
        labels = {"notebook": name} | ({"variant": variant} if variant else {})
        yield from labelled(_of_notebook(run, notebook), labels)


def _of_notebook(run: RunJson, notebook: NotebookJson) -> Iterator[Gauge]:
    states = Counter(cell["status"] for cell in notebook["cells"] if cell["number"])
    return notebook_metrics.gauges(
        status="succeeded" if notebook["status"] == "passed" else notebook["status"],
        exit_code=notebook["exit_code"],
        seconds=_seconds(notebook["duration_ms"]),
        cells={state: states[state] for state in get_args(CellStatus)},
        finished=_end(run, notebook["start_ms"], notebook["duration_ms"]),
        sampled=notebook["gpu"],
        cpu_fallback=notebook["cpu_fallback"],
    )


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _end(run: RunJson, start_ms: int | None, duration_ms: int | None) -> float | None:
    """Return when something ended, in seconds since 1970."""
    zero = read_time(run["started"])
    if zero is None or start_ms is None or duration_ms is None:
        return None
    return zero.timestamp() + (start_ms + duration_ms) / 1000
