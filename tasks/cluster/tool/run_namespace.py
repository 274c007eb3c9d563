"""The namespace that runs are in: storage, service accounts, secrets, Tasks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stepkit import __version__
from tasks.cluster.tool import event_listeners
from tasks.cluster.tool.findings import Finding, guarded, note, ok, todo
from tasks.cluster.tool.kubectl import AbsentError, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasks.cluster.tool.kubectl import Kubectl

TASKS: Final = Path(__file__).resolve().parents[2]
ACCOUNTS: Final = ("stepkit-runner", "stepkit-triggers")
SHARED: Final = "stepkit-shared"
CACHE: Final = "stepkit-cache"
# By the names that the Tasks and the EventListener ask for, and what each is for.
SECRETS: Final = {
    "dataset-token": "private datasets",
    "git-token": "private repositories",
    "github-webhook": "the web hook",
    "metrics-push": "a Pushgateway with users",
    "notify": "notifications",
    "dataset-storage": "datasets in object storage",
    "publish-credentials": "object storage",
}
_APPLY: Final = "kubectl apply --server-side -k tasks/cluster/overlays/"
_DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"
_VERSION: Final = "app.kubernetes.io/version"

# Drivers that are known to share a volume between nodes, by a part of their names.
_SHARING: Final = (
    "nfs", "cephfs", "efs.", "azurefile", "azure-file", "filestore", "glusterfs", "longhorn",
    "lustre", "fsx", "weka", "spectrumscale", "manila", "beegfs", "quobyte", "isilon",
)  # fmt: skip


def findings(kubectl: Kubectl, namespace: str) -> Iterator[Finding]:
    """Yield the findings about ``namespace`` and about its storage.

    Raises as :meth:`Kubectl.text`.
    """
    yield from guarded("storage classes", _classes(kubectl))
    try:
        found = kubectl.object("namespace", namespace)
    except AbsentError:
        yield todo("namespace", f"there is no {namespace}", f"{_APPLY}minimal, or another")
        return
    yield _namespace(found)
    where = f"--namespace={namespace}"
    yield from guarded("claims", _claims(kubectl, where))
    yield from guarded("service accounts", _accounts(kubectl, where))
    yield from guarded("secrets", _secrets(kubectl, where))
    yield from guarded("EventListener", event_listeners.findings(kubectl, namespace))
    for kind, directory in (("Tasks", TASKS), ("Pipelines", TASKS / "pipelines")):
        yield from guarded(kind, _installed(kubectl, where, kind, directory))


def _classes(kubectl: Kubectl) -> Iterator[Finding]:
    check = "storage classes"
    classes = kubectl.items("storageclasses")
    default = [name_of(c) for c in classes if _annotations(c).get(_DEFAULT_CLASS) == "true"]
    names = ", ".join(map(name_of, classes)) or "none"
    if len(default) == 1:
        yield ok(check, f"{names}; the default is {default[0]}")
    elif default:
        yield note(check, f"{names}; defaults: {', '.join(default)}", "the newest of them is taken")
    else:
        yield todo(check, f"{names}; no default",
                   "mark one, or name one in tasks/cluster/components/storage")  # fmt: skip
    shared = [name_of(c) for c in classes if any(p in c["provisioner"] for p in _SHARING)]
    if shared:
        yield note("ReadWriteMany", f"{', '.join(shared)}: a guess, by the name of the driver")
    else:
        yield note("ReadWriteMany", "no class that is known for it: a guess, by the drivers' names",
                   "with ReadWriteOnce, runs share one node at a time")  # fmt: skip


def _namespace(found: dict[str, Any]) -> Finding:
    labels = found["metadata"].get("labels") or {}
    level = labels.get("pod-security.kubernetes.io/enforce", "")
    if level == "restricted":
        return ok("namespace", f"{name_of(found)}, pod security {level}")
    shown = f"{name_of(found)}, pod security {level or 'not enforced'}"
    return note("namespace", shown, "tasks/cluster enforces restricted")


def _claims(kubectl: Kubectl, where: str) -> Iterator[Finding]:
    claims = {name_of(claim): claim for claim in kubectl.items("persistentvolumeclaims", where)}
    for name in (SHARED, CACHE):
        check = f"claim {name}"
        if claim := claims.get(name):
            yield _claim(check, claim)
        elif name == SHARED:
            yield todo(check, "not there", f"{_APPLY}minimal, or another")


def _claim(check: str, claim: dict[str, Any]) -> Finding:
    spec, status = claim.get("spec", {}), claim.get("status", {})
    phase = status.get("phase", "unknown")
    kind = spec.get("storageClassName", "no class")
    found = f"{phase}, {'/'.join(spec.get('accessModes', []))}, {kind}"
    if phase == "Bound":
        return ok(check, f"{found}, {status.get('capacity', {}).get('storage', '')}")
    if phase == "Pending":
        return note(check, found, "right before the first run where the class waits for a pod;"
                    f" otherwise: kubectl describe pvc {name_of(claim)}")  # fmt: skip
    return todo(check, found, f"kubectl describe pvc {name_of(claim)}: its volume is lost")


def _accounts(kubectl: Kubectl, where: str) -> Iterator[Finding]:
    accounts = {name_of(account) for account in kubectl.items("serviceaccounts", where)}
    if missing := [name for name in ACCOUNTS if name not in accounts]:
        yield todo(
            "service accounts", f"missing: {', '.join(missing)}", f"{_APPLY}minimal, or another"
        )
    else:
        yield ok("service accounts", ", ".join(ACCOUNTS))


def secret_names(kubectl: Kubectl, where: str) -> frozenset[str]:
    """Return the names of the Secrets in a namespace; raises as :meth:`Kubectl.text`."""
    # The table is made by the API server and has no contents; -o name or JSON would bring them.
    lines = kubectl.text("get", "secrets", where, "--no-headers").splitlines()
    return frozenset(line.split()[0] for line in lines if line.strip())


def _secrets(kubectl: Kubectl, where: str) -> Iterator[Finding]:
    present = secret_names(kubectl, where)
    for name, purpose in SECRETS.items():
        check = f"secret {name}"
        if name in present:
            yield ok(check, f"there, for {purpose}")
        else:
            yield note(check, f"not there: needed for {purpose} alone")


def _installed(kubectl: Kubectl, where: str, kind: str, directory: Path) -> Iterator[Finding]:
    ours = sorted(path.stem for path in directory.glob("*.yaml"))
    apply = f"kubectl apply {where} -f {directory.relative_to(TASKS.parent)}"
    try:
        found = kubectl.items(f"{kind.lower()}.tekton.dev", where)
    except AbsentError:
        yield todo(kind, "Tekton's kinds are not installed", "install Tekton Pipelines first")
        return
    versions = {
        name_of(thing): (thing["metadata"].get("labels") or {}).get(_VERSION, "none")
        for thing in found
    }
    missing = [name for name in ours if name not in versions]
    other = [
        f"{name} {versions[name]}"
        for name in ours
        if versions.get(name, __version__) != __version__
    ]
    if missing:
        yield todo(kind, f"missing: {', '.join(missing)}", apply)
    if other:
        yield todo(kind, f"not of {__version__}: {', '.join(other)}", apply)
    if not missing and not other:
        yield ok(kind, f"all {len(ours)} of {__version__}")


def _annotations(thing: dict[str, Any]) -> dict[str, str]:
    return thing["metadata"].get("annotations") or {}
