"""The YAML of the pages about clusters has the shape that Kubernetes takes."""

import re
from textwrap import dedent
from typing import Any

import pytest
import yaml
from cluster.overlays import ROOT
from kubernetes_validate.utils import validate

DOCS = ROOT.parents[1] / "docs"
OTHERS = {"ClusterImagePolicy", "NodePool"}  # of projects whose schemas Kubernetes does not have


def blocks(page: str) -> list[Any]:
    text = (DOCS / page).read_text()
    found = re.findall(r"^ *```yaml\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    return [one for block in found for one in yaml.safe_load_all(dedent(block))]


OBJECTS = [one for one in blocks("cluster-examples.md") if "kind" in one]
AFFINITIES = [
    one["affinity"]
    for page in ("cluster.md", "cluster-examples.md")
    for one in blocks(page)
    if "affinity" in one
]


def test_the_page_says_first_that_it_was_not_run() -> None:
    beginning = (DOCS / "cluster-examples.md").read_text().partition("\n## ")[0]
    assert "\n\n**Not run here.** " in beginning
    assert {one["kind"] for one in OBJECTS} == {"PersistentVolume", "StorageClass", *OTHERS}
    assert len(AFFINITIES) == 2


@pytest.mark.parametrize(
    "thing", [one for one in OBJECTS if one["kind"] not in OTHERS], ids=lambda one: one["kind"]
)
def test_an_object_fits_the_schema_of_kubernetes(thing: dict[str, Any]) -> None:
    validate(thing, "1.31", strict=True)


@pytest.mark.parametrize("affinity", AFFINITIES)
def test_an_affinity_fits_a_pod(affinity: dict[str, Any]) -> None:
    containers = [{"name": "one", "image": "one:1"}]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}}

    validate(pod | {"spec": {"affinity": affinity, "containers": containers}}, "1.31", strict=True)


def test_a_node_of_the_pool_is_one_that_runs_select_and_tolerate() -> None:
    (pool,) = [one for one in OBJECTS if one["kind"] == "NodePool"]
    run = yaml.safe_load((ROOT.parent / "pipelines/runs/notebook-ci.yaml").read_text())
    template = run["spec"]["taskRunTemplate"]["podTemplate"]

    made = pool["spec"]["template"]
    assert template["nodeSelector"].items() <= made["metadata"]["labels"].items()
    (taint,) = made["spec"]["taints"]
    (toleration,) = template["tolerations"]
    assert (toleration["key"], toleration["effect"]) == (taint["key"], taint["effect"])
    assert toleration["operator"] == "Exists"
