"""A real Prometheus reads from a real Pushgateway what the dashboard and the alerts ask for."""

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import run_records
import waiting
import yaml
from cluster.monitoring_component import GROUPS, queries
from pushgateway_server import program, pushgateway

from stepkit.formats import prometheus_text
from stepkit.notify.pushgateway import PushOptions
from stepkit.report import metrics_of_run


@contextmanager
def prometheus(directory: Path, gateway: str) -> Iterator[str]:
    """Run Prometheus with our rules on what a Pushgateway has, and yield its address."""
    (directory / "rules.yaml").write_text(yaml.safe_dump(GROUPS))
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [
            {
                "job_name": "pushgateway",
                "honor_labels": True,
                "static_configs": [{"targets": [gateway.removeprefix("http://")]}],
            }
        ],
    }
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(config))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        program("prometheus"),
        f"--config.file={directory / 'prometheus.yaml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={address}",
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield f"http://{address}"
        finally:
            process.terminate()


def answer(url: str, query: str) -> list[dict[str, Any]]:
    """Return the series that a query finds, none before Prometheus answers."""
    try:
        with urlopen(f"{url}/api/v1/query?{urlencode({'query': query})}") as found:
            series: list[dict[str, Any]] = json.load(found)["data"]["result"]
    except URLError:
        return []
    return series


@pytest.mark.slow
def test_prometheus_has_what_the_dashboard_and_the_alerts_ask_for_of_a_run(tmp_path: Path) -> None:
    device = run_records.device(memory_peak=78 * run_records.GIB, utilisation_mean=31.0)
    notebook = run_records.notebook(gpu=run_records.gpu(devices=[device]), cpu_fallback=0.2)
    run = run_records.run(notebooks=[notebook])
    text = "".join(prometheus_text.lines(metrics_of_run.gauges(run)))
    asked = [query for query in queries() if query.startswith("stepkit_")]

    with pushgateway() as gateway, prometheus(tmp_path, gateway) as url:
        options = PushOptions(metrics_push=gateway, metrics_labels=("namespace=team-a",))
        options.push(text, title=run["title"], taken=metrics_of_run.LABELS)
        for query in asked:
            waiting.until(partial(answer, url, query))
        firing = 'ALERTS{alertstate="firing"}'
        waiting.until(lambda: len(answer(url, firing)) == 2)
        alerts = {series["metric"]["alertname"] for series in answer(url, firing)}

    assert alerts == {"StepkitNotebookNeedsGpuMemory", "StepkitNotebookLeavesGpuIdle"}
