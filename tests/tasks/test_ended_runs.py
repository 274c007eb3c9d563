"""The CronJob that marks the commits of runs that ended without a report."""

from __future__ import annotations

import shutil

import pytest
import yaml
from commands import run
from tasks.manifests import ROOT, manifests

DIRECTORY = ROOT / "triggers/ended_runs"


def test_the_job_may_only_list_runs_and_reach_servers() -> None:
    named = {one.kind: one for one in manifests() if one.path.parent == DIRECTORY}
    template = named["CronJob"].spec["jobTemplate"]["spec"]["template"]

    assert template["spec"]["serviceAccountName"] == named["ServiceAccount"].name
    rules = named["Role"].value["rules"]
    assert rules == [
        {"apiGroups": ["tekton.dev"], "resources": ["pipelineruns"], "verbs": ["list"]}
    ]
    selected = named["NetworkPolicy"].spec["podSelector"]["matchLabels"]
    assert selected == template["metadata"]["labels"]


def test_kustomize_builds_it() -> None:
    tool = shutil.which("kustomize") or shutil.which("kubectl")
    if not tool:
        pytest.skip("neither kustomize nor kubectl is there")
    done = run(tool, *(["build"] if tool.endswith("kustomize") else ["kustomize"]), DIRECTORY)
    assert done.returncode == 0, done.stderr
    kinds = [one["kind"] for one in yaml.safe_load_all(done.stdout)]
    assert {"CronJob", "Role", "RoleBinding"} <= set(kinds)
