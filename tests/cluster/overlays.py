"""What kustomize makes of tasks/cluster."""

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2] / "tasks/cluster"
OVERLAYS = ("gpu-operator", "minimal", "openshift")
CUSTOM = {"PrometheusRule", "Route", "ServiceMonitor"}

Object = dict[str, Any]


def kustomize(directory: Path) -> list[Object]:
    """Return the objects that ``kubectl apply -k`` would send."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("there is no kubectl, which has kustomize in it")
    done = subprocess.run(
        [kubectl, "kustomize", directory], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return list(yaml.safe_load_all(done.stdout))


@cache
def overlay(name: str) -> list[Object]:
    return kustomize(ROOT / "overlays" / name)


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [thing for thing in objects if thing["kind"] in kinds]


def named(objects: list[Object], kind: str) -> dict[str, Object]:
    return {thing["metadata"]["name"]: thing for thing in of_kind(objects, kind)}


def relative(path: Path, start: Path) -> str:
    """Return ``path`` as kustomize takes it: it refuses absolute ones."""
    ups = "../" * len(start.resolve().parts[1:])
    return f"{ups}{path.resolve().relative_to('/')}"
