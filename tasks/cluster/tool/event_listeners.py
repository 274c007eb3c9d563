"""The EventListeners of a namespace, which web hooks reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.cluster.tool.findings import Finding, note, ok, todo
from tasks.cluster.tool.kubectl import AbsentError, name_of
from tasks.cluster.tool.pod_states import current, unready

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasks.cluster.tool.kubectl import Kubectl


def findings(kubectl: Kubectl, namespace: str) -> Iterator[Finding]:
    """Yield whether each EventListener is ready; raises as :meth:`Kubectl.text`."""
    where = f"--namespace={namespace}"
    try:
        listeners = kubectl.items("eventlisteners.triggers.tekton.dev", where)
    except AbsentError:  # without Tekton Triggers, which is another finding
        return
    if not listeners:
        yield note("EventListener", "none", "only the web hook needs one: tasks/triggers")
    for listener in listeners:
        name = name_of(listener)
        check, selector = f"EventListener {name}", f"--selector=eventlistener={name}"
        waiting = unready(current(kubectl.items("pods", where, selector)))
        conditions = listener.get("status", {}).get("conditions") or []
        missing = [
            f"{one['type']}: {one.get('message') or one.get('reason') or 'not yet'}"
            for one in conditions
            if one.get("status") != "True"
        ]
        if waiting or missing or not conditions:
            why = "; ".join([*waiting, *missing]) or "Tekton Triggers has not looked at it yet"
            logs = f"kubectl logs {where} {selector} --tail=20"
            remedy = f"{logs}; `forbidden` there: its account lacks the roles of tasks/cluster"
            yield todo(check, f"not ready: {why}", remedy)
        else:
            yield ok(check, "ready")
