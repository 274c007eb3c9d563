"""Make the dashboard of tasks/cluster/components/monitoring: runs, GPUs, notebooks.

Its JSON comes from Grafana's own model, grafana-foundation-sdk, a dependency of development alone.
``make generated`` writes it; the component's kustomization puts it into a ConfigMap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, Literal

PLACE: Final = "cluster/components/monitoring/stepkit-dashboard.json"  # below tasks/

_WIDTH: Final = 24  # of Grafana's grid
_HEIGHT: Final = 8
_OURS: Final = 'namespace=~"$namespace"'  # an empty label, too, where all are shown
_GREEN, _YELLOW, _RED = "green", "yellow", "red"

_Unit = Literal["percentunit", "s", "short", "watt", "celsius", "joule"]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel: ``queries`` are PromQL and the legend of its series.

    ``steps`` are colours from a value on, the first from the lowest; ``high`` ends the axis.
    """

    kind: Literal["stat", "timeseries", "state-timeline"] = "timeseries"
    title: str
    description: str
    queries: Sequence[tuple[str, str]]
    unit: _Unit = "short"
    steps: Sequence[tuple[float | None, str]] = ((None, _GREEN),)
    high: float | None = None
    width: int = _WIDTH // 2


_PEAK, _TOTAL = "stepkit_gpu_memory_peak_bytes", "stepkit_gpu_memory_total_bytes"
_NOTEBOOK: Final = "{{title}} {{notebook}} {{variant}}"

ROWS: Final[Sequence[tuple[str, Sequence[Panel]]]] = (
    (
        "Runs: Tekton",
        (
            Panel(
                kind="stat",
                title="Runs that passed, seven days",
                description="Cancelled runs count neither way. The target is 95 %.",
                queries=(
                    (
                        f"stepkit:pipelineruns_passed:ratio7d{{{_OURS}}}",
                        "{{namespace}} {{pipeline}}",
                    ),
                ),
                unit="percentunit",
                steps=((None, _RED), (0.95, _GREEN)),
                width=8,
            ),
            Panel(
                kind="stat",
                title="Mean duration, seven days",
                description="Of the runs that passed. The target is 30 minutes.",
                queries=(
                    (
                        f"stepkit:pipelinerun_seconds:mean7d{{{_OURS}}}",
                        "{{namespace}} {{pipeline}}",
                    ),
                ),
                unit="s",
                steps=((None, _GREEN), (1800, _RED)),
                width=8,
            ),
            Panel(
                kind="stat",
                title="Running now",
                description="PipelineRuns of the whole cluster, and TaskRuns that wait.",
                queries=(
                    ("sum(tekton_pipelines_controller_running_pipelineruns)", "running"),
                    ("stepkit:taskruns_waiting:sum", "wait for {{for}}"),
                ),
                width=8,
            ),
            Panel(
                title="Runs that ended, by hour",
                description="How many runs ended in the hour before, by status.",
                queries=(
                    (
                        f"sum by (pipeline, status) (stepkit:pipelineruns:increase1h{{{_OURS}}})",
                        "{{pipeline}} {{status}}",
                    ),
                ),
            ),
            Panel(
                title="Waiting for a node",
                description="Between the creation of a TaskRun's pod and its place on a node: the "
                "longest of the pods that exist.",
                queries=((f"stepkit:pod_wait_seconds:max{{{_OURS}}}", "{{namespace}}"),),
                unit="s",
                steps=((None, _GREEN), (1800, _RED)),
            ),
        ),
    ),
    (
        "GPUs: dcgm-exporter",
        (
            Panel(
                title="Memory in use",
                description="Share of each GPU's memory, by all processes. Alert above 90 %.",
                queries=(("stepkit:gpu_memory_used:ratio", "{{Hostname}} GPU {{gpu}}"),),
                unit="percentunit",
                steps=((None, _GREEN), (0.85, _YELLOW), (0.9, _RED)),
                high=1,
            ),
            Panel(
                title="Utilisation",
                description="Time with a kernel running; MIG instances have none. The target is "
                "70 % while a TaskRun holds the GPU.",
                queries=(("DCGM_FI_DEV_GPU_UTIL / 100", "{{Hostname}} GPU {{gpu}}"),),
                unit="percentunit",
                steps=((None, _YELLOW), (0.7, _GREEN)),
                high=1,
            ),
            Panel(
                title="Power",
                description="Power draw of each GPU.",
                queries=(("DCGM_FI_DEV_POWER_USAGE", "{{Hostname}} GPU {{gpu}}"),),
                unit="watt",
            ),
            Panel(
                title="Temperature",
                description="Temperature of each GPU.",
                queries=(("DCGM_FI_DEV_GPU_TEMP", "{{Hostname}} GPU {{gpu}}"),),
                unit="celsius",
            ),
        ),
    ),
    (
        "Notebooks: what summarize pushed",
        (
            Panel(
                kind="state-timeline",
                title="Last run of each title",
                description="Green while the last run passed.",
                queries=((f"stepkit_run_success{{{_OURS}}}", "{{title}}"),),
                steps=((None, _RED), (1, _GREEN)),
                width=_WIDTH,
            ),
            Panel(
                title="Length of notebooks",
                description="Of the last run of each.",
                queries=((f"stepkit_notebook_duration_seconds{{{_OURS}}}", _NOTEBOOK),),
                unit="s",
            ),
            Panel(
                title="Length of steps",
                description="Of the last run of each title.",
                queries=((f"stepkit_run_step_duration_seconds{{{_OURS}}}", "{{title}} {{step}}"),),
                unit="s",
            ),
            Panel(
                title="Peak of GPU memory",
                description="Most memory in use during the notebook, as a share of the GPU's.",
                queries=(
                    (f"{_PEAK}{{{_OURS}}} / {_TOTAL}{{{_OURS}}}", f"{_NOTEBOOK} GPU {{{{gpu}}}}"),
                ),
                unit="percentunit",
                steps=((None, _GREEN), (0.85, _YELLOW), (0.9, _RED)),
                high=1,
            ),
            Panel(
                title="GPU utilisation",
                description="Mean over the notebook's run. The target is 70 %.",
                queries=(
                    (
                        f"stepkit_gpu_utilization_mean_ratio{{{_OURS}}}",
                        f"{_NOTEBOOK} GPU {{{{gpu}}}}",
                    ),
                ),
                unit="percentunit",
                steps=((None, _YELLOW), (0.7, _GREEN)),
                high=1,
            ),
            Panel(
                title="GPU idle, calls on the CPU",
                description="Share of the time without a kernel; share of the calls of cudf.pandas "
                "and cuml.accel that ran on the CPU.",
                queries=(
                    (f"stepkit_gpu_idle_ratio{{{_OURS}}}", f"{_NOTEBOOK} idle"),
                    (f"stepkit_notebook_cpu_fallback_ratio{{{_OURS}}}", f"{_NOTEBOOK} on the CPU"),
                ),
                unit="percentunit",
                high=1,
            ),
            Panel(
                title="Energy of a run",
                description="What the GPUs used during the last run of each title.",
                queries=((f"stepkit_run_gpu_energy_joules{{{_OURS}}}", "{{title}}"),),
                unit="joule",
            ),
        ),
    ),
)


def text() -> str:
    """Return the dashboard as JSON."""
    from grafana_foundation_sdk.builders import dashboard as builders
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.dashboard import VariableRefresh

    namespaces = (
        builders.QueryVariable("namespace")
        .label("Namespace")
        .datasource(_source())
        .query("label_values(stepkit:pipelineruns:increase7d, namespace)")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    )
    made = (
        builders.Dashboard("stepkit")
        .uid("stepkit-runs")
        .description("Runs of notebooks, what they wait for, and what their GPUs do.")
        .tags(["stepkit"])
        .timezone("browser")
        .time("now-7d", "now")
        .refresh("1m")
        .with_variable(
            builders.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
        )
        .with_variable(namespaces.include_all(True).all_value(".*").multi(True))  # noqa: FBT003
    )
    numbers = count(1)
    for title, panels in ROWS:
        made.with_row(builders.Row(title).id(next(numbers)))
        for panel in panels:
            made.with_panel(_built(panel).id(next(numbers)))
    return JSONEncoder(sort_keys=True, indent=2).encode(made.build()) + "\n"


def _source() -> Any:
    from grafana_foundation_sdk.models.dashboard import DataSourceRef

    return DataSourceRef(type_val="prometheus", uid="$datasource")


def _built(panel: Panel) -> Any:
    """Return the builder of a panel."""
    from grafana_foundation_sdk.builders import dashboard as builders
    from grafana_foundation_sdk.builders import prometheus
    from grafana_foundation_sdk.models.dashboard import (
        FieldColorModeId,
        Threshold,
        ThresholdsMode,
    )

    made = _of_kind(panel)
    steps = [Threshold(value=value, color=colour) for value, colour in panel.steps]
    made.title(panel.title).description(panel.description).datasource(_source())
    made.thresholds(builders.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    made.unit(panel.unit).min(0).height(_HEIGHT).span(panel.width)
    if panel.kind != "timeseries":
        made.color_scheme(builders.FieldColor().mode(FieldColorModeId.THRESHOLDS))
    if panel.high is not None:
        made.max(panel.high)
    for name, (expression, legend) in zip("ABC", panel.queries, strict=False):
        query = prometheus.Dataquery().ref_id(name).expr(expression).legend_format(legend)
        made.with_target(query.instant() if panel.kind == "stat" else query.range())
    return made


def _of_kind(panel: Panel) -> Any:
    """Return a builder that has the options of its kind alone."""
    from grafana_foundation_sdk.builders import common, stat, statetimeline, timeseries
    from grafana_foundation_sdk.models import common as words
    from grafana_foundation_sdk.models.dashboard import ValueMap, ValueMappingResult

    if panel.kind == "stat":
        last = common.ReduceDataOptions().calcs(["lastNotNull"])
        return stat.Panel().reduce_options(last).graph_mode(words.BigValueGraphMode.NONE)
    legend = common.VizLegendOptions().show_legend(True)  # noqa: FBT003
    legend.display_mode(words.LegendDisplayMode.LIST).placement(words.LegendPlacement.BOTTOM)
    if panel.kind == "timeseries":
        style = words.GraphTresholdsStyleMode
        lines = style.DASHED if len(panel.steps) > 1 else style.OFF
        thresholds = common.GraphThresholdsStyleConfig().mode(lines)
        tooltip = common.VizTooltipOptions().mode(words.TooltipDisplayMode.MULTI)
        return timeseries.Panel().legend(legend).tooltip(tooltip).thresholds_style(thresholds)
    texts = {
        "0": ValueMappingResult(text="failed", color=_RED),
        "1": ValueMappingResult(text="passed", color=_GREEN),
    }
    timeline = statetimeline.Panel().legend(legend).show_value(words.VisibilityMode.NEVER)
    return timeline.mappings([ValueMap(options=texts)]).fill_opacity(70).line_width(0)
