"""Alerts, records and dashboard are objects of their operators, about metrics that exist."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import commands
import pytest
import run_records
import yaml
from cluster.monitoring_component import ALERTS, DASHBOARD, GROUPS, RECORDS, RULES, queries
from cluster.overlays import ROOT, named, of_kind, overlay
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from pushgateway_server import program

from stepkit.formats import prometheus_text
from stepkit.report import metrics_of_run

HERE = Path(__file__).parent
# docs/metrics.md of Tekton Pipelines 1.15 and of Tekton Triggers, etc/default-counters.csv of
# dcgm-exporter, docs/metrics/workload/pod-metrics.md of kube-state-metrics, the kubelet's metrics
# of volumes.
EXISTING = {
    "tekton_pipelines_controller_pipelinerun_duration_seconds_count",
    "tekton_pipelines_controller_pipelinerun_duration_seconds_sum",
    "tekton_pipelines_controller_pipelinerun_taskrun_duration_seconds_count",
    "tekton_pipelines_controller_running_pipelineruns",
    "tekton_pipelines_controller_running_taskruns_throttled_by_quota",
    "tekton_pipelines_controller_running_taskruns_throttled_by_node",
    "eventlistener_event_received_total",
    "kubelet_volume_stats_available_bytes",
    "kubelet_volume_stats_capacity_bytes",
    "kube_pod_created",
    "kube_pod_status_scheduled_time",
    "DCGM_FI_DEV_FB_FREE",
    "DCGM_FI_DEV_FB_USED",
    "DCGM_FI_DEV_GPU_TEMP",
    "DCGM_FI_DEV_GPU_UTIL",
    "DCGM_FI_DEV_POWER_USAGE",
    "DCGM_FI_DEV_XID_ERRORS",
    "DCGM_FI_DEV_ROW_REMAP_FAILURE",
}
# Labels that their documentation lists; `exported_pod` is the exporter's `pod` in Prometheus.
LABELS = {
    "exported_pod",
    "namespace",
    "persistentvolumeclaim",
    "pipeline",
    "pod",
    "status",
    "task",
}
EACH_POD = "tekton_pipelines_controller_taskruns_pod_latency_milliseconds"
# Of PromQL, and labels that it groups by.
WORDS = {"sum", "max", "by", "on", "and", "or", "unless", "offset", "increase", "label_replace"}
WORDS |= {f"{name}_over_time" for name in ("avg", "last", "max")}
WORDS |= {"namespace", "pipeline", "status"}


def pushed() -> set[str]:
    """Return the names of all metrics that summarize pushes."""
    runs = [make() for make in run_records.RUNS.values()]
    device = run_records.device(temperature_max=60.0, xids=[79])
    notebook = run_records.notebook(gpu=run_records.gpu(devices=[device]), cpu_fallback=0.2)
    runs.append(run_records.run(notebooks=[notebook]))
    lines = [line for run in runs for line in prometheus_text.lines(metrics_of_run.gauges(run))]
    return {line.split()[2] for line in lines if line.startswith("# TYPE")}


KNOWN = EXISTING | RECORDS | pushed()


def check_names(expression: str) -> None:
    """Refuse a metric or a label that does not exist."""
    bare = re.sub(r"\{[^}]*\}|\[\d+[mhd]\]|\"[^\"]*\"|\b\d[\d.]*[mhd]?\b", "", expression)
    assert set(re.findall(r"[a-zA-Z_][\w:]*", bare)) - WORDS <= KNOWN, expression
    used = {label for braces in re.findall(r"\{([^}]*)\}", expression)
            for label in re.findall(r"(\w+)=~?\"", braces)}  # fmt: skip
    assert used <= LABELS


def promtool(*arguments: str | Path) -> str:
    done = commands.run(program("promtool"), *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """The rules as Prometheus reads them, without the operator."""
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(GROUPS))
    return path


def test_prometheus_takes_the_rules(rules: Path) -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", rules)

    assert f"SUCCESS: {len(RULES)} rules found" in done


@pytest.mark.slow
@pytest.mark.parametrize("cases", ["alert_cases.yaml", "alert_cases_of_weeks.yaml"])
def test_alerts_begin_and_end_when_they_should(rules: Path, cases: str) -> None:
    shutil.copy(HERE / cases, rules.parent)

    assert "SUCCESS" in promtool("test", "rules", rules.parent / cases)


def test_every_alert_has_a_case() -> None:
    texts = [path.read_text() for path in HERE.glob("alert_cases*.yaml")]
    tested = {name for text in texts for name in re.findall(r"alertname: (\w+)", text)}

    assert tested == {rule["alert"] for rule in ALERTS}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_rule_is_about_metrics_that_exist(rule: dict[str, Any]) -> None:
    check_names(rule["expr"])


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_alert_has_the_shape_that_the_operator_takes(rule: dict[str, Any]) -> None:
    assert rule.keys() - {"for"} == {"alert", "expr", "labels", "annotations"}
    assert re.fullmatch(r"Stepkit[A-Za-z]+", rule["alert"])
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    assert rule["annotations"].keys() == {"summary", "description"}
    assert all(text.endswith(".") for text in rule["annotations"].values())
    known = re.findall(r"by \(([^)]*)\)", rule["expr"])
    for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
        assert not known or label in known[0]


def test_dashboard_asks_for_metrics_that_exist() -> None:
    found = list(queries())

    assert len(found) > 10
    for query in found:
        check_names(query)
        assert "$" not in query


def test_prometheus_takes_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    path = tmp_path / "queries.yaml"
    rules = [{"record": f"query:{n}", "expr": query} for n, query in enumerate(queries())]
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))

    assert f"SUCCESS: {len(rules)} rules found" in promtool("check", "rules", path)


def test_dashboard_is_what_the_model_of_grafana_reads() -> None:
    text = DASHBOARD.read_text()
    register_default_plugins()
    read = Dashboard.from_json(json.loads(text))

    assert JSONEncoder(sort_keys=True, indent=2).encode(read) + "\n" == text
    panels = json.loads(text)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(p["gridPos"]["x"] + p["gridPos"]["w"] <= 24 for p in panels)
    assert all(p["description"].endswith(".") for p in panels if p["type"] != "row")


def test_dashboard_is_a_config_map_that_grafana_finds() -> None:
    made = named(overlay("gpu-operator"), "ConfigMap")["stepkit-dashboard"]

    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
    text = DASHBOARD.read_text()
    assert made["data"] == {"stepkit-dashboard.json": text}


def test_alerts_are_about_pipelines_that_exist() -> None:
    expressions = " ".join(rule["expr"] for rule in RULES)
    (pattern,) = set(re.findall(r'pipeline=~"([^"]*)"', expressions))

    for path in (ROOT.parent / "pipelines").glob("*.yaml"):
        assert re.fullmatch(pattern, path.stem), path.name


def test_service_monitors_select_the_services_of_tekton() -> None:
    monitors = {
        thing["metadata"]["name"]: thing["spec"]
        for thing in of_kind(overlay("gpu-operator"), "ServiceMonitor")
    }

    assert monitors == {
        "tekton-pipelines-controller": {
            "namespaceSelector": {"matchNames": ["tekton-pipelines"]},
            "selector": {
                "matchLabels": {
                    "app.kubernetes.io/component": "controller",
                    "app.kubernetes.io/part-of": "tekton-pipelines",
                }
            },
            "endpoints": [
                {
                    "port": "http-metrics",
                    "honorLabels": True,
                    "metricRelabelings": [
                        {
                            "sourceLabels": ["__name__"],
                            "regex": f"{EACH_POD}.*",
                            "action": "drop",
                        }
                    ],
                }
            ],
        },
        "stepkit-event-listener": {
            "selector": {
                "matchLabels": {
                    "app.kubernetes.io/managed-by": "EventListener",
                    "app.kubernetes.io/part-of": "Triggers",
                }
            },
            "endpoints": [{"port": "http-metrics"}],
        },
        "stepkit-pushgateway": {
            "namespaceSelector": {"matchNames": ["monitoring", "prometheus"]},
            "selector": {"matchLabels": {"app.kubernetes.io/name": "prometheus-pushgateway"}},
            "endpoints": [{"port": "http", "honorLabels": True}],
        },
    }


def test_one_label_lets_prometheus_find_every_object() -> None:
    found = of_kind(overlay("gpu-operator"), "PrometheusRule", "ServiceMonitor")

    assert [thing["metadata"]["labels"]["release"] for thing in found] == ["prometheus"] * 4
