"""Tekton's Dashboard: its pods, its Service, and whether it reaches the API server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tasks.cluster.tool.findings import Finding, note, ok, todo
from tasks.cluster.tool.kubectl import AbsentError, name_of
from tasks.cluster.tool.pod_states import current, unready

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasks.cluster.tool.kubectl import Kubectl

_NAME: Final = "tekton-dashboard"
_SELECTOR: Final = f"--selector=app.kubernetes.io/part-of={_NAME}"
_CHECK: Final = "Tekton Dashboard"
_API_PORTS: Final = {443, 6443}  # of the API server's Service, and of the server itself


def findings(kubectl: Kubectl, home: str) -> Iterator[Finding]:
    """Yield what is wrong with the Dashboard in ``home``; raises as :meth:`Kubectl.text`."""
    where = f"--namespace={home}"
    try:
        kubectl.object("deployment", _NAME, where)
    except AbsentError:
        yield note(_CHECK, f"not in {home}", "nothing here needs it")
        return
    pods = current(kubectl.items("pods", where, _SELECTOR))
    if not pods or (waiting := unready(pods)):
        why = "; ".join(waiting) if pods else "its Deployment has no pod"
        yield todo(_CHECK, why, f"kubectl logs -n {home} deployment/{_NAME}, or describe its pods")
        return
    labels = pods[0]["metadata"].get("labels") or {}
    try:
        selector = kubectl.object("service", _NAME, where).get("spec", {}).get("selector") or {}
    except AbsentError:
        yield todo(_CHECK, f"there is no Service {_NAME}", "apply the Dashboard's release again")
        return
    if not selector.items() <= labels.items():
        yield todo(_CHECK, f"its Service {_NAME} selects none of its pods",
                   "apply the Dashboard's release again")  # fmt: skip
    elif shut := _shut_in_by(kubectl.items("networkpolicies", where), labels):
        found = f"it keeps loading: it reaches no API server, by the policies {', '.join(shut)}"
        remedy = "allow it egress to ports 443 and 6443 without a `to`, or delete the policy"
        yield todo(_CHECK, found, remedy)
    else:
        yield ok(_CHECK, f"ready in {home}: kubectl port-forward -n {home} service/{_NAME} 9097")


def _shut_in_by(policies: list[dict[str, Any]], labels: dict[str, str]) -> list[str]:
    """Return the policies that keep pods with ``labels`` from the API server, by their names.

    The API server is on the nodes' network: a rule for namespaces or pods does not lead there.
    Policies that select pods by expressions are left out.
    """
    ours = [
        policy
        for policy in policies
        if "Egress" in (policy["spec"].get("policyTypes") or [])
        and not (policy["spec"].get("podSelector") or {}).get("matchExpressions")
        and ((policy["spec"].get("podSelector") or {}).get("matchLabels") or {}).items()
        <= labels.items()
    ]
    rules = [rule for policy in ours for rule in policy["spec"].get("egress") or []]
    return [] if any(map(_leads_to_the_api_server, rules)) else [name_of(one) for one in ours]


def _leads_to_the_api_server(rule: dict[str, Any]) -> bool:
    peers, ports = rule.get("to") or [], rule.get("ports") or []
    anywhere = not peers or any("ipBlock" in peer for peer in peers)
    return anywhere and (not ports or any(_has_api_port(port) for port in ports))


def _has_api_port(port: dict[str, Any]) -> bool:
    if port.get("protocol", "TCP") != "TCP":
        return False
    first = port.get("port")
    if not isinstance(first, int):
        return first is None  # a name is one of a pod's ports
    return any(first <= one <= port.get("endPort", first) for one in _API_PORTS)
