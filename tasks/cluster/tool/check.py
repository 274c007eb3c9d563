"""Check whether a cluster has what stepkit needs: `make cluster-check`.

    make cluster-check CLUSTER_ARGS="--context staging --namespace stepkit"

It only reads, with the rights of whoever calls it. Exit code 0: all is well; 1: something must be
done; 2: the cluster cannot be asked, or not all of it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import TYPE_CHECKING, Any, Final

from tasks.cluster.tool import gpus, run_namespace, tekton
from tasks.cluster.tool.findings import (
    Finding,
    document,
    exit_code,
    guarded,
    ok,
    table,
    todo,
)
from tasks.cluster.tool.kubectl import SECONDS, Kubectl, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SCHEMA: Final = "stepkit.cluster-check/1"
NAMESPACE: Final = "stepkit"
_OLDEST: Final = (1, 28)  # what Tekton Pipelines 1.0 asks for
_VERDICTS: Final = {
    0: "all is well",
    1: "something must be done: see the lines with todo",
    2: "not all could be asked: see the lines with unknown",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Print the findings; return the exit code."""
    arguments = _arguments(argv)
    kubectl = Kubectl(context=arguments.context, seconds=arguments.timeout)
    try:
        found = list(findings(kubectl, arguments.namespace, gpu=arguments.gpu))
    except RefusedError as refusal:
        print(f"cluster-check: cannot ask the cluster: {refusal}", file=sys.stderr)
        return 2
    code = exit_code(found)
    if arguments.json:
        whole = {"schema": SCHEMA, "exit_code": code, "findings": document(found)}
        print(json.dumps(whole, indent=2))
    else:
        print("\n".join([*table(found), "", _VERDICTS[code]]))
    return code


def findings(kubectl: Kubectl, namespace: str, *, gpu: str = "required") -> Iterator[Finding]:
    """Yield the findings about the cluster.

    ``gpu``: ``required``, ``optional`` or ``none`` to leave GPUs alone. Raises
    :class:`~tasks.cluster.tool.kubectl.CannotAskError`, and any :class:`RefusedError` of the first
    question, which every user may ask.
    """
    yield _versions(kubectl.versions())
    yield from guarded("Tekton", tekton.findings(kubectl))
    if gpu != "none":
        yield from guarded("GPUs", gpus.findings(kubectl, required=gpu == "required"))
    yield from guarded("namespace", run_namespace.findings(kubectl, namespace))


def _versions(answer: dict[str, Any]) -> Finding:
    client = answer.get("clientVersion", {}).get("gitVersion", "of unknown version")
    server = answer.get("serverVersion", {}).get("gitVersion", "of unknown version")
    found = f"kubectl {client}, Kubernetes {server}"
    number = re.match(r"v(\d+)\.(\d+)", server)
    if number and (int(number[1]), int(number[2])) < _OLDEST:
        return todo("Kubernetes", found, f"Tekton needs {'.'.join(map(str, _OLDEST))} or newer")
    return ok("Kubernetes", found)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make cluster-check CLUSTER_ARGS=...",
        description=(__doc__ or "").partition("\n")[0],
    )
    add_cluster(parser)
    parser.add_argument("--gpu", choices=("required", "optional", "none"), default="required")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    return parser.parse_args(argv)


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Add the flags that select the cluster, and how long an answer may take."""
    parser.add_argument("--namespace", default=NAMESPACE, help="where runs are (%(default)s)")
    parser.add_argument("--context", default="", help="kubectl's context; the current one if empty")
    parser.add_argument(
        "--timeout", type=float, default=SECONDS, help="seconds for one answer (%(default)g)"
    )


if __name__ == "__main__":
    sys.exit(main())
