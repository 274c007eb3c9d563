"""The options of commands that ask the API server of a cluster, as the account of their pod."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from stepkit.options import AtLeast

if TYPE_CHECKING:
    from collections.abc import Collection

    from stepkit.tekton.cluster_runs import ClusterAccess, ClusterRun


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """How to reach the API server."""

    heading: ClassVar[str] = "the cluster"

    server: Annotated[str, "address of the API server"] = "https://kubernetes.default.svc"
    account: Annotated[Path, "directory of the service account: namespace, token and ca.crt"] = (
        Path("/var/run/secrets/kubernetes.io/serviceaccount")
    )
    attempts: Annotated[int, "how often to ask for the list of runs in all", AtLeast(1)] = 3

    def access(self) -> ClusterAccess:
        """Return the access; raise :class:`~stepkit.errors.ConfigurationError` without one."""
        from stepkit.tekton import cluster_runs

        return cluster_runs.access(self.server, self.account)

    def runs(self, access: ClusterAccess, pipelines: Collection[str] = ()) -> list[ClusterRun]:
        """Return the runs of ``pipelines``, or all; raise as :func:`cluster_runs.listed`."""
        from stepkit.system.retry import retrying
        from stepkit.tekton import cluster_runs

        return retrying(self.attempts)(lambda: list(cluster_runs.listed(access, pipelines)))
