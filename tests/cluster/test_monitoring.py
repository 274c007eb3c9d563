"""The alerts are objects of the Prometheus operator, about metrics that exist."""

import re
from typing import Any

import pytest
import yaml
from cluster.overlays import ROOT, of_kind, overlay

RULES = [
    rule
    for group in yaml.safe_load((ROOT / "components/monitoring/prometheus-rule.yaml").read_text())[
        "spec"
    ]["groups"]
    for rule in group["rules"]
]

# docs/metrics.md of Tekton Pipelines 1.15 and of Tekton Triggers, etc/default-counters.csv of
# dcgm-exporter, the kubelet's metrics of volumes.
EXISTING = {
    "tekton_pipelines_controller_pipelinerun_duration_seconds_count",
    "tekton_pipelines_controller_pipelinerun_taskrun_duration_seconds_count",
    "tekton_pipelines_controller_running_taskruns_throttled_by_quota",
    "tekton_pipelines_controller_running_taskruns_throttled_by_node",
    "eventlistener_event_received_total",
    "kubelet_volume_stats_available_bytes",
    "kubelet_volume_stats_capacity_bytes",
    "DCGM_FI_DEV_XID_ERRORS",
    "DCGM_FI_DEV_ROW_REMAP_FAILURE",
}
# Labels that their documentation lists.
LABELS = {"status", "pipeline", "task", "persistentvolumeclaim"}
WORDS = {"sum", "by", "increase", "or", "namespace", "pipeline"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_is_about_metrics_that_exist(rule: dict[str, Any]) -> None:
    expression = rule["expr"]
    bare = re.sub(r"\{[^}]*\}|\[\d+[mh]\]|\b[\d.]+\b", "", expression)

    assert set(re.findall(r"[a-zA-Z_]\w*", bare)) - WORDS <= EXISTING
    used = {label for braces in re.findall(r"\{([^}]*)\}", expression)
            for label in re.findall(r"(\w+)=~?\"", braces)}  # fmt: skip
    assert used <= LABELS
    assert [expression.count(one) for one in "({["] == [expression.count(one) for one in ")}]"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_has_the_shape_that_the_operator_takes(rule: dict[str, Any]) -> None:
    assert rule.keys() - {"for"} == {"alert", "expr", "labels", "annotations"}
    assert re.fullmatch(r"Stepkit[A-Za-z]+", rule["alert"])
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"].keys() == {"summary", "description"}
    assert all(text.endswith(".") for text in rule["annotations"].values())
    known = re.findall(r"by \(([^)]*)\)", rule["expr"])
    for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
        assert not known or label in known[0]


def test_alerts_are_about_pipelines_that_exist() -> None:
    (rule,) = [rule for rule in RULES if rule["alert"] == "StepkitRunFailed"]
    (pattern,) = re.findall(r'pipeline=~"([^"]*)"', rule["expr"])

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
            "endpoints": [{"port": "http-metrics", "honorLabels": True}],
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
    }


def test_one_label_lets_prometheus_find_every_object() -> None:
    found = of_kind(overlay("gpu-operator"), "PrometheusRule", "ServiceMonitor")

    assert [thing["metadata"]["labels"]["release"] for thing in found] == ["prometheus"] * 3
