"""Tekton: which versions, and the settings of it that change what runs do."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tasks.cluster.tool import tekton_dashboard
from tasks.cluster.tool.findings import Finding, guarded, note, ok, todo
from tasks.cluster.tool.kubectl import AbsentError, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tasks.cluster.tool.kubectl import Kubectl

NAMESPACES: Final = ("tekton-pipelines", "openshift-pipelines")
OLDEST: Final = (1, 0)  # tekton.dev/pipelines.minVersion of the Tasks
_INSTALL: Final = "https://tekton.dev/docs/installation/"


def findings(kubectl: Kubectl) -> Iterator[Finding]:
    """Yield the findings about Tekton; raises as :meth:`Kubectl.text`."""
    try:
        home = namespace(kubectl)
    except AbsentError:
        where = " or ".join(NAMESPACES)
        yield todo("Tekton Pipelines", f"not installed in {where}", f"install it: {_INSTALL}")
        return
    yield from guarded("Tekton Pipelines", _pipelines(kubectl, home))
    yield from guarded("Tekton Triggers", _triggers(kubectl, home))
    yield from guarded("Tekton Dashboard", tekton_dashboard.findings(kubectl, home))
    yield from guarded("feature flags", _flags(kubectl, home))
    yield from guarded("default-timeout-minutes", _default_timeout(kubectl, home))


def namespace(kubectl: Kubectl) -> str:
    """Return where Tekton is installed; raises as :meth:`Kubectl.text`."""
    *others, last = NAMESPACES
    for home in others:
        with suppress(AbsentError):
            kubectl.object("configmap", "pipelines-info", f"--namespace={home}")
            return home
    kubectl.object("configmap", "pipelines-info", f"--namespace={last}")
    return last


def _pipelines(kubectl: Kubectl, home: str) -> Iterator[Finding]:
    check = "Tekton Pipelines"
    version = _version(kubectl, "pipelines-info", home)
    found = f"{version} in {home}"
    number = re.match(r"v?(\d+)\.(\d+)", version)
    if number and (int(number[1]), int(number[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        yield todo(check, found, f"the Tasks need {oldest} or newer: {_INSTALL}")
    else:
        yield _readiness(kubectl, check, found, home, "tekton-pipelines-")


def _triggers(kubectl: Kubectl, home: str) -> Iterator[Finding]:
    check = "Tekton Triggers"
    try:
        version = _version(kubectl, "triggers-info", home)
    except AbsentError:
        yield note(check, "not installed", "only the web hook needs it")
    else:
        yield _readiness(kubectl, check, f"{version} in {home}", home, "tekton-triggers-")


def _version(kubectl: Kubectl, info: str, home: str) -> str:
    data = kubectl.object("configmap", info, f"--namespace={home}").get("data") or {}
    return str(data.get("version", "of unknown version"))


def _readiness(kubectl: Kubectl, check: str, found: str, home: str, prefix: str) -> Finding:
    waiting = [
        name_of(deployment)
        for deployment in kubectl.items("deployments", f"--namespace={home}")
        if name_of(deployment).startswith(prefix)
        and not deployment.get("status", {}).get("readyReplicas")
    ]
    if waiting:
        found = f"{found}, not ready: {', '.join(waiting)}"
        return todo(check, found, f"kubectl get pods -n {home}")
    return ok(check, found)


def _flags(kubectl: Kubectl, home: str) -> Iterator[Finding]:
    found = kubectl.object("configmap", "feature-flags", f"--namespace={home}")
    flags = found.get("data") or {}
    for name, (default, judge) in _FLAGS.items():
        yield judge(f"flag {name}", str(flags.get(name, default)), home)


def _default_timeout(kubectl: Kubectl, home: str) -> Iterator[Finding]:
    check = "default-timeout-minutes"
    found = kubectl.object("configmap", "config-defaults", f"--namespace={home}")
    minutes = str((found.get("data") or {}).get(check, "60"))
    yield note(check, minutes, "a run that takes longer needs its own timeouts")


def _coschedule(check: str, value: str, _home: str) -> Finding:
    if value == "workspaces":
        return ok(check, f"{value}: a Task may mount one claim; keep caches in stepkit-shared")
    return note(check, f"{value}: a Task may mount several claims")


def _security(check: str, value: str, home: str) -> Finding:
    if value == "true":
        return ok(check, value)
    patch = '\'{"data":{"set-security-context":"true"}}\''
    return todo(
        check,
        f"{value}: a namespace with the profile restricted refuses Tekton's own containers",
        f"kubectl patch configmap feature-flags -n {home} -p {patch}",
    )


def _credentials(check: str, value: str, _home: str) -> Finding:
    if value == "true":
        return note(check, f"{value}: secrets of service accounts are not used",
                    "give git-clone its token by the param token-secret")  # fmt: skip
    return ok(check, value)


def _results(check: str, value: str, _home: str) -> Finding:
    if value == "termination-message":
        return ok(check, value)
    return note(check, value, "Tekton's controller needs the right to read pods' logs for that")


def _fields(check: str, value: str, _home: str) -> Finding:
    if value in {"stable", "beta"}:
        return ok(check, value)
    return note(check, f"{value}: nothing here needs more than stable")


def _cancel(check: str, value: str, _home: str) -> Finding:
    if value == "true":
        return note(check, f"{value}: a cancelled step is killed before it can save its notebook",
                    "leave it false")  # fmt: skip
    return ok(check, value)


# Tekton's own default of each, as of 1.15, and who judges its value.
_FLAGS: Final[dict[str, tuple[str, Callable[[str, str, str], Finding]]]] = {
    "coschedule": ("workspaces", _coschedule),
    "set-security-context": ("false", _security),
    "disable-creds-init": ("false", _credentials),
    "results-from": ("termination-message", _results),
    "enable-api-fields": ("beta", _fields),
    "keep-pod-on-cancel": ("false", _cancel),
}
