"""GPUs: what nodes offer, and how they share it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from tasks.cluster.tool.findings import Finding, guarded, note, ok, todo
from tasks.cluster.tool.kubectl import AbsentError, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasks.cluster.tool.kubectl import Kubectl

PREFIX: Final = "nvidia.com/"
_INSTALL: Final = "https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/"

# Labels that GPU feature discovery sets.
_PRESENT: Final = f"{PREFIX}gpu.present"
_PRODUCT: Final = f"{PREFIX}gpu.product"
_REPLICAS: Final = f"{PREFIX}gpu.replicas"
_SHARING: Final = f"{PREFIX}gpu.sharing-strategy"

_OLDER_LABEL: Final = ("accelerator", "nvidia-tesla-gpu")  # which clusters without it may have

_Node = dict[str, Any]


def findings(kubectl: Kubectl, *, required: bool) -> Iterator[Finding]:
    """Yield the findings about GPUs; raises as :meth:`Kubectl.text`.

    ``required``: whether a cluster without GPUs needs a remedy.
    """
    nodes = kubectl.items("nodes")
    yield _offered(nodes, required=required)
    yield from _unlabelled(nodes)
    yield from _shared(nodes)
    yield from _tainted(nodes)
    yield from guarded("GPU operator", _operator(kubectl, offered=any(map(offers, nodes))))


def offers(node: _Node) -> dict[str, int]:
    """Return how many of NVIDIA's resources pods may have on the node, by their names."""
    allocatable = node.get("status", {}).get("allocatable") or {}
    return {
        name: int(count)
        for name, count in allocatable.items()
        if name.startswith(PREFIX) and str(count).isdigit() and int(count)
    }


def _offered(nodes: list[_Node], *, required: bool) -> Finding:
    check = "GPUs"
    total: Counter[str] = Counter()
    products = set()
    for node in nodes:
        total.update(offers(node))
        if offers(node) and (product := _labels(node).get(_PRODUCT)):
            products.add(product)
    if total:
        counts = ", ".join(f"{name}: {count}" for name, count in sorted(total.items()))
        on = sum(1 for node in nodes if offers(node))
        kinds = f" ({', '.join(sorted(products))})" if products else ""
        return ok(check, f"{counts} on {on} of {len(nodes)} nodes{kinds}")
    silent = [name_of(node) for node in nodes if _labels(node).get(_PRESENT) == "true"]
    if silent:
        found = f"{', '.join(silent)} have GPUs, and offer none"
        return todo(check, found, "the device plugin or the driver fails: look at their pods")
    if required:
        found = f"none on any of {len(nodes)} nodes"
        return todo(
            check, found, f"install the GPU operator: {_INSTALL}; --gpu none if none is to be"
        )
    return note(check, "none")


def _unlabelled(nodes: list[_Node]) -> Iterator[Finding]:
    """Yield a finding if no node with GPUs has the label that the example runs select."""
    labels = [_labels(node) for node in nodes if offers(node)]
    if not labels or any(one.get(_PRESENT) == "true" for one in labels):
        return
    remedy = "install GPU feature discovery, or change nodeSelector in the PipelineRuns"
    name, value = _OLDER_LABEL
    if any(one.get(name) == value for one in labels):
        remedy = f"they have {name}={value}: docs/cluster.md says how to select it"
    yield note("GPU labels", f"no node with GPUs has {_PRESENT}=true, which runs select", remedy)


def _shared(nodes: list[_Node]) -> Iterator[Finding]:
    for node in nodes:
        labels = _labels(node)
        replicas = labels.get(_REPLICAS, "1")
        if offers(node) and replicas not in {"", "0", "1"}:
            how = labels.get(_SHARING, "shared")
            found = f"{name_of(node)}: {replicas} to a GPU, by {how}"
            yield note("GPU sharing", found, "no notebook's memory is safe from the others")


def _tainted(nodes: list[_Node]) -> Iterator[Finding]:
    taints: dict[str, int] = Counter(
        f"{taint['key']}:{taint['effect']}"
        for node in nodes
        if offers(node)
        for taint in node.get("spec", {}).get("taints") or []
        if taint.get("effect") in {"NoSchedule", "NoExecute"}
    )
    for taint, count in sorted(taints.items()):
        yield note("GPU taints", f"{taint} on {count} nodes with GPUs",
                   "PipelineRuns need a toleration in taskRunTemplate.podTemplate")  # fmt: skip


def _operator(kubectl: Kubectl, *, offered: bool) -> Iterator[Finding]:
    check = "GPU operator"
    try:
        policies = kubectl.items("clusterpolicies.nvidia.com")
    except AbsentError:
        policies = []
    states = {name_of(p): p.get("status", {}).get("state", "unknown") for p in policies}
    shown = ", ".join(f"{name}: {state}" for name, state in states.items())
    if not states:
        yield note(check, "not installed" + (": a separate device plugin" if offered else ""))
    elif set(states.values()) == {"ready"}:
        yield ok(check, shown)
    else:
        yield todo(check, shown, "kubectl describe clusterpolicies.nvidia.com")


def _labels(node: _Node) -> dict[str, str]:
    return node["metadata"].get("labels") or {}
