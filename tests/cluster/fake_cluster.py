"""A kubectl that stands for a cluster.

It is a program on the PATH that answers each question from a file with the question's name. A
question without a file is about an object that does not exist.
"""

import json
from pathlib import Path
from typing import Any

from stepkit import __version__

TASKS = Path(__file__).parents[2] / "tasks"
NAMESPACE = "--namespace=stepkit"
TEKTON = "--namespace=tekton-pipelines"

SCRIPT = """#!/bin/bash
echo "$*" >> {directory}/calls
file="$*"
file=${{file// /_}}
file={directory}/${{file//\\//_}}
if [ -f "$file" ]; then exec cat "$file"; fi
if [ -f "$file.refused" ]; then cat "$file.refused" >&2; exit 1; fi
echo "Error from server (NotFound): \"$*\" not found" >&2
exit 1
"""


class FakeCluster:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.bin = directory / "bin"
        self.bin.mkdir(parents=True)
        self.program(SCRIPT.format(directory=directory))

    def program(self, script: str) -> None:
        (self.bin / "kubectl").write_text(script)
        (self.bin / "kubectl").chmod(0o755)

    def answer(self, question: str, answer: str | dict[str, Any] | list[Any]) -> None:
        """A dict is an object, a list the items of one; a text is printed as it is."""
        if isinstance(answer, list):
            answer = {"apiVersion": "v1", "kind": "List", "items": answer}
        if isinstance(answer, dict):
            question, answer = f"{question} --output=json", json.dumps(answer)
        self._file(question).write_text(answer)

    def refuse(self, question: str, complaint: str) -> None:
        for form in (question, f"{question} --output=json"):
            self._file(form).unlink(missing_ok=True)
            self._file(form).with_name(f"{self._file(form).name}.refused").write_text(complaint)

    def calls(self) -> list[str]:
        path = self.directory / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def _file(self, question: str) -> Path:
        return self.directory / question.replace(" ", "_").replace("/", "_")


def thing(name: str, **parts: Any) -> dict[str, Any]:
    metadata = {"name": name, **parts.pop("metadata", {})}
    return {"metadata": metadata, **parts}


def node(
    name: str,
    *,
    labels: dict[str, str] | None = None,
    taints: list[dict[str, str]] | None = None,
    **offers: int,
) -> dict[str, Any]:
    allocatable = {"cpu": "16"} | {f"nvidia.com/{key}": str(count) for key, count in offers.items()}
    return thing(
        name,
        metadata={"labels": labels or {}},
        spec={"taints": taints or []},
        status={"allocatable": allocatable, "capacity": allocatable},
    )


def claim(phase: str = "Bound") -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "standard"}
    return thing(
        "stepkit-shared", spec=spec, status={"phase": phase, "capacity": {"storage": "100Gi"}}
    )


def storage_class(name: str, provisioner: str, *, default: bool = False) -> dict[str, Any]:
    annotations = {"storageclass.kubernetes.io/is-default-class": str(default).lower()}
    return thing(name, metadata={"annotations": annotations}, provisioner=provisioner)


def ready(*names: str) -> list[dict[str, Any]]:
    return [thing(name, status={"readyReplicas": 1}) for name in names]


def installed(directory: Path, version: str = __version__) -> list[dict[str, Any]]:
    labels = {"app.kubernetes.io/version": version}
    return [
        thing(path.stem, metadata={"labels": labels}) for path in sorted(directory.glob("*.yaml"))
    ]


def healthy(cluster: FakeCluster) -> None:
    """A cluster with all that stepkit needs, and one GPU."""
    cluster.answer(
        "version",
        {"clientVersion": {"gitVersion": "v1.32.4"}, "serverVersion": {"gitVersion": "v1.31.2"}},
    )
    for kind, version in (("pipelines", "v1.15.0"), ("triggers", "v0.34.0")):
        cluster.answer(f"get configmap {kind}-info {TEKTON}", {"data": {"version": version}})
    cluster.answer(
        f"get deployments {TEKTON}",
        ready(
            "tekton-pipelines-controller", "tekton-pipelines-webhook", "tekton-triggers-controller"
        ),
    )
    flags = {
        "coschedule": "workspaces",
        "set-security-context": "true",
        "results-from": "termination-message",
    }
    cluster.answer(f"get configmap feature-flags {TEKTON}", {"data": flags})
    cluster.answer(f"get configmap config-defaults {TEKTON}", {"data": {"_example": "..."}})
    labels = {"nvidia.com/gpu.present": "true", "nvidia.com/gpu.product": "NVIDIA-L4"}
    cluster.answer("get nodes", [node("cpu-1"), node("gpu-1", labels=labels, gpu=1)])
    cluster.answer(
        "get clusterpolicies.nvidia.com", [thing("cluster-policy", status={"state": "ready"})]
    )
    cluster.answer(
        "get storageclasses", [storage_class("standard", "ebs.csi.aws.com", default=True)]
    )
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.answer("get namespace stepkit", thing("stepkit", metadata={"labels": restricted}))
    cluster.answer(f"get persistentvolumeclaims {NAMESPACE}", [claim()])
    accounts = [thing(name) for name in ("default", "stepkit-runner", "stepkit-triggers")]
    cluster.answer(f"get serviceaccounts {NAMESPACE}", accounts)
    cluster.answer(f"get secrets {NAMESPACE} --no-headers", "git-token   Opaque   1   3d\n")
    cluster.answer(f"get tasks.tekton.dev {NAMESPACE}", installed(TASKS))
    cluster.answer(f"get pipelines.tekton.dev {NAMESPACE}", installed(TASKS / "pipelines"))
