"""Why pods do not run, or are not ready."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tasks.cluster.tool.kubectl import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable


def current(pods: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the pods that have not ended: of a Deployment, evicted ones stay in the list."""
    ended = {"Succeeded", "Failed"}
    return [pod for pod in pods if pod.get("status", {}).get("phase") not in ended]


def unready(pods: Iterable[dict[str, Any]]) -> list[str]:
    """Return a text for each pod that is not ready: its name, why, and its restarts."""
    return [f"{name_of(pod)}: {_why(pod)}" for pod in pods if not _is_ready(pod)]


def _is_ready(pod: dict[str, Any]) -> bool:
    containers = pod.get("status", {}).get("containerStatuses") or []
    return bool(containers) and all(container.get("ready") for container in containers)


def _why(pod: dict[str, Any]) -> str:
    status = pod.get("status", {})
    for container in status.get("containerStatuses") or []:
        if not container.get("ready"):
            state = container.get("state") or {}
            ended = state.get("waiting") or state.get("terminated") or {}
            restarts = container.get("restartCount", 0)
            why = str(ended.get("reason") or "not ready")
            return f"{why}, {restarts} restarts" if restarts else why
    for condition in status.get("conditions") or []:
        if condition.get("status") == "False" and condition.get("reason"):
            return str(condition["reason"])
    return str(status.get("phase") or "unknown")
