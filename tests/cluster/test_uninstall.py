"""The commands that remove an installation, by the real kubectl against a small API server."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import loopback
import pytest
from cluster import kubeconfigs
from cluster.overlays import ROOT, relative

pytestmark = pytest.mark.slow

# Resources of the groups of an installation, and the kinds that have no namespace.
GROUPS = {
    "apps/v1": ["DaemonSet"],
    "batch/v1": ["CronJob"],
    "networking.k8s.io/v1": ["NetworkPolicy"],
    "rbac.authorization.k8s.io/v1": ["ClusterRoleBinding", "Role", "RoleBinding"],
    "tekton.dev/v1": ["Pipeline", "Task"],
    "tekton.dev/v1beta1": ["StepAction"],
    "v1": [
        "LimitRange",
        "Namespace",
        "PersistentVolumeClaim",
        "ResourceQuota",
        "Secret",
        "ServiceAccount",
    ],
}
CLUSTER_WIDE = {"ClusterRoleBinding", "Namespace"}


def plural(kind: str) -> str:
    return re.sub("y$", "ie", kind.lower()) + "s"


def discovery(version: str) -> object:
    resources = [
        {
            "name": plural(kind),
            "singularName": kind.lower(),
            "kind": kind,
            "namespaced": kind not in CLUSTER_WIDE,
            "verbs": ["delete", "get", "list"],
        }
        for kind in GROUPS[version]
    ]
    return {"kind": "APIResourceList", "groupVersion": version, "resources": resources}


class ApiServer(loopback.Handler):
    """Knows the kinds of an installation, and notes what it is to delete."""

    deleted: list[str]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        version = path.removeprefix("/apis/").removeprefix("/api/")
        groups = sorted({one.partition("/")[0] for one in GROUPS if "/" in one})
        answers: dict[str, Any] = {
            "/version": {"major": "1", "minor": "31", "gitVersion": "v1.31.2"}
        }
        answers["/api"] = {"kind": "APIVersions", "versions": ["v1"]}
        answers["/apis"] = {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [
                {
                    "name": group,
                    "versions": [
                        {"groupVersion": one, "version": one.partition("/")[2]}
                        for one in GROUPS
                        if one.startswith(f"{group}/")
                    ],
                }
                for group in groups
            ],
        }
        answer = answers.get(path) or (discovery(version) if version in GROUPS else None)
        code = 200 if answer else 404
        self.answer(code, json.dumps(answer or {}).encode(), {"Content-Type": "application/json"})

    def do_DELETE(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        *_, kind, name = self.path.partition("?")[0].split("/")
        self.deleted.append(f"{kind}/{name}")
        status = {"kind": "Status", "apiVersion": "v1", "status": "Success"}
        self.answer(200, json.dumps(status).encode(), {"Content-Type": "application/json"})


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    """Yield a kubeconfig of the server."""
    ApiServer.deleted = []
    with kubeconfigs.served(ApiServer, tmp_path) as written:
        yield written


def delete(config: Path, *args: str) -> set[str]:
    done = subprocess.run(
        ["kubectl", f"--kubeconfig={config}", "delete", "--wait=false", *args],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(config.parent)},
        cwd=ROOT.parents[1],
    )
    assert done.returncode == 0, done.stderr
    return set(ApiServer.deleted)


def documented(beginning: str) -> list[str]:
    """Return the arguments of the command in the docs that begins so."""
    text = (ROOT.parents[1] / "docs/cluster.md").read_text()
    (command,) = re.findall(rf"^ *kubectl {re.escape(beginning)}(.*)$", text, re.MULTILINE)
    return [word.strip("'") for word in command.split()]


def test_what_users_made_stays_when_the_installation_goes(config: Path, tmp_path: Path) -> None:
    base = relative(ROOT / "overlays/minimal", tmp_path)
    cache = relative(ROOT / "components/cache", tmp_path)
    (tmp_path / "kustomization.yaml").write_text(f"resources: [{base}]\ncomponents: [{cache}]\n")
    args = documented("delete -k tasks/cluster/overlays/minimal -l")

    deleted = delete(config, "-k", str(tmp_path), "-l", *args)

    assert {"cronjobs/clean-workspace", "serviceaccounts/stepkit-runner"} <= deleted
    kinds = {one.partition("/")[0] for one in deleted}
    assert not {"namespaces", "persistentvolumeclaims", "secrets"} & kinds


def test_with_its_namespace_goes_everything(config: Path) -> None:
    deleted = delete(config, "-k", "tasks/cluster/overlays/minimal")

    assert {"namespaces/stepkit", "persistentvolumeclaims/stepkit-shared"} <= deleted


def test_tasks_and_pipelines_go_without_the_data(config: Path) -> None:
    deleted = delete(config, *documented("delete -n stepkit"), "-n", "stepkit")

    assert {"tasks/execute-notebook", "pipelines/notebook-ci"} <= deleted
    assert {one.partition("/")[0] for one in deleted} == {"pipelines", "stepactions", "tasks"}
