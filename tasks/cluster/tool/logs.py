"""Bundle what a bug report needs: `make cluster-logs`.

    make cluster-logs CLUSTER_ARGS="--run notebook-ci-x7k2p"

Runs, pods, their logs, events and versions go into one archive. It only reads, asks for no Secret,
and masks what looks like one. Exit code 0: the archive is there; 1: there is no such run; 2: the
cluster cannot be asked.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tasks.cluster.tool import check, gpus, run_namespace, tekton
from tasks.cluster.tool.bundle import Bundle
from tasks.cluster.tool.findings import document, table
from tasks.cluster.tool.kubectl import CannotAskError, Kubectl, RefusedError, name_of

if TYPE_CHECKING:
    from collections.abc import Sequence

RUNS: Final = 3
LINES: Final = 20_000  # the last ones of each container's log
_RUN: Final = "tekton.dev/pipelineRun"
_LOG: Final = (f"--tail={LINES}", "--timestamps")
# Service accounts are not described: kubectl would fetch their Secrets.
_KINDS: Final = "persistentvolumeclaims,resourcequotas,limitranges,networkpolicies"


class NoSuchRunError(Exception):
    """A run that was named is not there."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write the archive and say where it is; return the exit code."""
    arguments = _arguments(argv)
    kubectl = Kubectl(context=arguments.context, seconds=arguments.timeout)
    path: Path = arguments.output
    if not path.absolute().parent.is_dir():
        print(f"cluster-logs: cannot write {path}: there is no such directory", file=sys.stderr)
        return 2
    try:
        bundle = collect(kubectl, arguments.namespace, runs=arguments.run, last=arguments.last)
        bundle.write(path)
    except NoSuchRunError as error:
        print(f"cluster-logs: {error}", file=sys.stderr)
        return 1
    except CannotAskError as refusal:
        print(f"cluster-logs: cannot ask the cluster: {refusal}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"cluster-logs: cannot write {path}: {error.strerror}", file=sys.stderr)
        return 2
    print(path)
    for name, why in sorted(bundle.missing.items()):
        print(f"cluster-logs: without {name}: {why}", file=sys.stderr)
    print("cluster-logs: look through it before you pass it on", file=sys.stderr)
    return 0


def collect(kubectl: Kubectl, namespace: str, *, runs: Sequence[str], last: int) -> Bundle:
    """Return what a bug report needs of ``runs``, or of the ``last`` ones, and of the cluster.

    Raises :class:`CannotAskError` when the cluster cannot be asked at all, and
    :class:`NoSuchRunError` for a run that is not there.
    """
    where = f"--namespace={namespace}"
    versions = kubectl.versions()
    names = frozenset(run_namespace.SECRETS)
    with suppress(RefusedError):
        names |= run_namespace.secret_names(kubectl, where)
    bundle = Bundle(names)
    bundle.objects("versions.json", lambda: versions)
    for run in _chosen(bundle, kubectl, where, runs=runs, last=last):
        _run(bundle, kubectl, where, run)
    _cluster(bundle, kubectl, namespace)
    _tekton(bundle, kubectl, namespace)
    return bundle


def _chosen(
    bundle: Bundle, kubectl: Kubectl, where: str, *, runs: Sequence[str], last: int
) -> list[dict[str, Any]]:
    try:
        found = kubectl.items("pipelineruns.tekton.dev", where)
    except CannotAskError:
        raise
    except RefusedError as refusal:
        bundle.missing["runs"] = str(refusal)
        return []
    found.sort(key=lambda run: str(run["metadata"].get("creationTimestamp", "")))
    names = [name_of(run) for run in found]
    for name in runs:
        if name not in names:
            newest = ", ".join(reversed(names[-5:])) or "none"
            raise NoSuchRunError(f"there is no PipelineRun {name}; the newest are: {newest}")
    if runs:
        return [run for run in found if name_of(run) in runs]
    return found[-last:] if last else []


def _run(bundle: Bundle, kubectl: Kubectl, where: str, run: dict[str, Any]) -> None:
    name = name_of(run)
    at, chosen = f"runs/{name}", (where, f"--selector={_RUN}={name}")
    bundle.objects(f"{at}/pipelinerun.json", lambda: run)
    bundle.objects(f"{at}/taskruns.json", lambda: kubectl.object("taskruns.tekton.dev", *chosen))
    pods = bundle.objects(f"{at}/pods.json", lambda: kubectl.object("pods", *chosen)) or {}
    for pod in pods.get("items", []):
        _pod(bundle, kubectl, where, f"{at}/{pod['metadata']['name']}", pod)


def _pod(bundle: Bundle, kubectl: Kubectl, where: str, at: str, pod: dict[str, Any]) -> None:
    name, spec = name_of(pod), pod.get("spec", {})
    bundle.text(f"{at}/describe.txt", lambda: kubectl.text("describe", "pod", name, where))
    for container in [*spec.get("initContainers", []), *spec.get("containers", [])]:
        chosen = f"--container={container['name']}"
        ask = partial(kubectl.text, "logs", name, where, chosen, *_LOG)
        bundle.text(f"{at}/{container['name']}.log", ask)


def _cluster(bundle: Bundle, kubectl: Kubectl, namespace: str) -> None:
    try:
        found = list(check.findings(kubectl, namespace, gpu="optional"))
    except RefusedError as refusal:
        bundle.missing["check"] = str(refusal)
    else:
        bundle.objects("check.json", lambda: document(found))
        bundle.text("check.txt", lambda: "\n".join(table(found)) + "\n")
    where, by_time = f"--namespace={namespace}", "--sort-by=.lastTimestamp"
    bundle.text(
        "events.txt", partial(kubectl.text, "get", "events", where, by_time, "--output=wide")
    )
    bundle.text("namespace.txt", partial(kubectl.text, "describe", _KINDS, where))
    bundle.objects("service-accounts.json", partial(kubectl.object, "serviceaccounts", where))
    bundle.objects("nodes.json", lambda: [_node(node) for node in kubectl.items("nodes")])
    listeners = "--selector=app.kubernetes.io/managed-by=EventListener"
    ask = partial(kubectl.text, "logs", where, listeners, "--prefix", *_LOG)
    bundle.text("event-listener.log", ask)


def _node(node: dict[str, Any]) -> dict[str, Any]:
    labels = node["metadata"].get("labels") or {}
    status = node.get("status", {})
    return {
        "name": name_of(node),
        "labels": {k: v for k, v in labels.items() if k.startswith(gpus.PREFIX)},
        "taints": node.get("spec", {}).get("taints", []),
        "capacity": status.get("capacity", {}),
        "allocatable": status.get("allocatable", {}),
        "conditions": status.get("conditions", []),
        "info": status.get("nodeInfo", {}),
    }


def _tekton(bundle: Bundle, kubectl: Kubectl, namespace: str) -> None:
    try:
        home = tekton.namespace(kubectl)
    except RefusedError as refusal:
        bundle.missing["tekton"] = str(refusal)
        return
    where = f"--namespace={home}"
    for name in ("feature-flags", "config-defaults", "pipelines-info", "triggers-info"):
        bundle.objects(f"tekton/{name}.json", partial(kubectl.object, "configmap", name, where))

    def ours() -> str:
        printed = kubectl.text("logs", "deployment/tekton-pipelines-controller", where, *_LOG)
        # The controller serves all namespaces: leave out the runs of the others.
        return "".join(f"{line}\n" for line in printed.splitlines() if namespace in line)

    bundle.text("tekton/controller.log", ours)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make cluster-logs CLUSTER_ARGS=...", description=(__doc__ or "").partition("\n")[0]
    )
    check.add_cluster(parser)
    parser.add_argument("--run", action="append", default=[], help="a PipelineRun; may be repeated")
    parser.add_argument("--last", type=int, default=RUNS, help="else the last ones (%(default)d)")
    name = f"stepkit-cluster-logs-{datetime.now(UTC):%Y%m%d-%H%M%S}.tar.gz"
    parser.add_argument("--output", type=Path, default=Path(name), help="the archive (%(default)s)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
