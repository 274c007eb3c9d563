"""PipelineRuns in a cluster: listed and deleted through its API server, as the account of a pod."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from stepkit import redaction
from stepkit.errors import ConfigurationError, Reason, StepError, ToolError
from stepkit.formats.shorten import shorten
from stepkit.http import connection, safe_urls, status_codes
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from stepkit.http.connection import Answer

_SECONDS: Final = 30.0  # without a byte of an answer
_LONGEST: Final = 300.0  # seconds, for one answer
_PAGE: Final = 100  # runs: each may take 100 KB
_GONE: Final = {404, 409}  # removed meanwhile, or replaced by another run of the same name
_EXPIRED: Final = 410  # the place in the list from which an answer was to go on
_MOST_SAID: Final = 300  # characters of what the server says


@dataclass(frozen=True, kw_only=True)
class ClusterAccess:
    """The API server's address, a namespace, a token, and who signs the server's certificate."""

    server: str
    namespace: str
    token: str
    authority: Path


@dataclass(frozen=True, kw_only=True)
class ClusterRun:
    """A PipelineRun; ``ended`` is None while it goes on, ``reason`` is Tekton's for its state."""

    name: str
    uid: str
    pipeline: str
    params: Mapping[str, Any]
    ended: datetime | None
    reason: str


def access(server: str, account: Path) -> ClusterAccess:
    """Return the access of the pod whose service account is mounted at ``account``.

    Raises :class:`ConfigurationError` without such an account, or for a server without TLS.
    """
    safe_urls.check_url(server, token=True)
    if not (account / "token").exists():
        raise ConfigurationError(
            f"there is no token of a service account in {account}: this command runs in a pod "
            "of the cluster, with an account that may list PipelineRuns",
            reason=Reason.NOT_FOUND,
        )
    namespace, token = (
        atomic_files.read(account / name).decode(errors="replace").strip()
        for name in ("namespace", "token")
    )
    redaction.register(token)
    return ClusterAccess(
        server=server.rstrip("/"), namespace=namespace, token=token, authority=account / "ca.crt"
    )


def listed(access: ClusterAccess, pipelines: Collection[str] = ()) -> Iterator[ClusterRun]:
    """Yield the runs of ``pipelines``, or all, in the namespace.

    Raises :class:`ToolError` when the server does not answer, or not with PipelineRuns, and
    :class:`ConfigurationError` when the account may not list them.
    """
    query = {"limit": str(_PAGE), "continue": ""}
    if pipelines:
        query["labelSelector"] = f"tekton.dev/pipeline in ({','.join(sorted(pipelines))})"
    while True:
        answer = _ask(access, "GET", f"?{urlencode(query)}")
        if query["continue"] and answer.status == _EXPIRED:
            answer.close()
            raise ToolError("the list of PipelineRuns changed too much while it was read")
        if answer.status >= status_codes.REDIRECTION:
            raise _refusal(answer, "list the PipelineRuns", "list")
        try:
            page = json.loads(b"".join(answer.chunks()))
            found = [_read(item) for item in page["items"]]
            query["continue"] = page["metadata"].get("continue") or ""
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            message = f"the answer of {access.server} is not a list of PipelineRuns"
            raise ToolError(message) from error
        yield from (run for run in found if not pipelines or run.pipeline in pipelines)
        if not query["continue"]:
            return


def delete(access: ClusterAccess, run: ClusterRun) -> bool:
    """Delete ``run`` with its TaskRuns and pods; return False if it is gone already.

    Another run that has its name by now stays. Raises as :func:`listed`.
    """
    body = {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "propagationPolicy": "Background",
        "preconditions": {"uid": run.uid},
    }
    answer = _ask(access, "DELETE", f"/{quote(run.name)}", json.dumps(body).encode())
    if answer.status in _GONE:
        answer.close()
        return False
    if answer.status >= status_codes.REDIRECTION:
        raise _refusal(answer, f"delete {run.name}", "delete")
    answer.close()
    return True


def _read(item: dict[str, Any]) -> ClusterRun:
    """Read a run. One that Tekton has yet to start has no status, and so has not ended."""
    metadata, status = item["metadata"], item.get("status") or {}
    states = [one for one in status.get("conditions") or [] if one["type"] == "Succeeded"]
    over = any(state["status"] in {"True", "False"} for state in states)
    time_of_end = status.get("completionTime") if over else None
    return ClusterRun(
        name=metadata["name"],
        uid=metadata["uid"],
        pipeline=(metadata.get("labels") or {}).get("tekton.dev/pipeline", ""),
        params={one["name"]: one["value"] for one in item.get("spec", {}).get("params") or []},
        ended=datetime.fromisoformat(time_of_end) if time_of_end else None,
        reason=str(states[0].get("reason", "")) if states else "",
    )


def _ask(access: ClusterAccess, method: str, path: str, body: bytes | None = None) -> Answer:
    base = f"/apis/tekton.dev/v1/namespaces/{quote(access.namespace)}/pipelineruns"
    return connection.request(
        method,
        f"{access.server}{base}{path}",
        {
            "Authorization": f"Bearer {access.token}",
            "Accept": "application/json",
            "Content-Type": "application/json",
        },
        stall=_SECONDS,
        until=time.monotonic() + _LONGEST,
        body=body,
        certificates=access.authority if access.server.startswith("https:") else None,
    )


def _refusal(answer: Answer, what: str, verb: str) -> StepError:
    said = ""
    # A proxy may answer in its place.
    with suppress(ValueError, TypeError, KeyError, RecursionError):
        said = str(json.loads(answer.beginning(seconds=_SECONDS))["message"])
    shown = f" ({shorten(' '.join(said.split()), _MOST_SAID)})" if said else ""
    answer.close()
    return status_codes.refusal(
        answer.status,
        f"cannot {what}: the API server answered HTTP {answer.status}{shown}",
        if_denied=f"the account of this pod needs a Role with the verb {verb} for pipelineruns",
        if_missing="is Tekton Pipelines installed in this cluster?",
        retry_after=answer.header("Retry-After"),
    )
