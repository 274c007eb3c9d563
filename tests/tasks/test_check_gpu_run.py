"""The TaskRun that checks one GPU: what it passes fits its Task, and the step does it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import commands
import pytest
import yaml
from whole_gpu import whole_gpu

TASKS = Path(__file__).parents[2] / "tasks"
RUN = yaml.safe_load((TASKS / "pipelines/runs/check-gpu.yaml").read_text())["spec"]
TASK = yaml.safe_load((TASKS / "check-environment.yaml").read_text())["spec"]


def named(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in items}


def test_it_passes_what_the_task_takes_and_asks_for_one_gpu() -> None:
    assert RUN["taskRef"] == {"name": "check-environment"}
    assert named(RUN["params"]).keys() <= named(TASK["params"]).keys()
    assert named(RUN["workspaces"]).keys() == named(TASK["workspaces"]).keys()
    (step,) = RUN["stepSpecs"]
    assert step["name"] in named(TASK["steps"])
    assert step["computeResources"]["limits"]["nvidia.com/gpu"] == "1"
    assert named(RUN["params"])["gpu"]["value"] == "required"


@pytest.mark.slow
@pytest.mark.usefixtures("rmm_here")
def test_its_params_check_a_gpu_and_rmm_on_it(tmp_path: Path) -> None:
    used = {"name": "check", "taskRef": RUN["taskRef"], "params": RUN["params"]}
    used["workspaces"] = [{"name": "shared", "workspace": "shared"}]
    pipeline = {
        "apiVersion": "tekton.dev/v1",
        "kind": "Pipeline",
        "metadata": {"name": "check-gpu"},
        "spec": {"workspaces": [{"name": "shared"}], "tasks": [used]},
    }
    (tmp_path / "pipeline.yaml").write_text(yaml.safe_dump(pipeline))

    done = commands.stepkit(
        *("run-local", tmp_path / "pipeline.yaml", f"--workspace=shared={tmp_path}/work"),
        *("--tasks", TASKS),
        env=whole_gpu(tmp_path),
    )

    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "work/reports/check-environment.json").read_text())
    found = [(f["check"], f["level"]) for f in report["outputs"]["findings"]]
    assert found.count(("rmm-test", "ok")) == 5
