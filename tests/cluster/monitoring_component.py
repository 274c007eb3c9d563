"""The rules and the dashboard of tasks/cluster/components/monitoring."""

import json
from collections.abc import Iterator

import yaml
from cluster.overlays import ROOT

from tasks import grafana_dashboard

DASHBOARD = ROOT.parent / grafana_dashboard.PLACE
GROUPS = yaml.safe_load((ROOT / "components/monitoring/prometheus-rule.yaml").read_text())["spec"]
RULES = [rule for group in GROUPS["groups"] for rule in group["rules"]]
ALERTS = [rule for rule in RULES if "alert" in rule]
RECORDS = {rule["record"] for rule in RULES if "record" in rule}


def queries() -> Iterator[str]:
    """Yield each query of the dashboard, with a namespace in the place of its variable."""
    made = json.loads(DASHBOARD.read_text())
    for panel in made["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"].replace("$namespace", "team-a")
