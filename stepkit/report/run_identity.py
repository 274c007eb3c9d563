"""Which run it was, and where: flags for what no report says, most of them known to CI systems."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

import stepkit
from stepkit.options import DefaultFromEnv
from stepkit.redaction import redact
from stepkit.report import unchecked_values

if TYPE_CHECKING:
    from datetime import datetime

    from stepkit.report.run_json import IdentityJson

Host = Literal["tekton", "github", "gitlab", "jenkins", "local"]

_TEKTON: Final = Path("/tekton/steps")  # Tekton has it in each of its containers
_GITHUB_URL: Final = "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}"


@dataclass(frozen=True, kw_only=True)
class IdentityOptions:
    """Flags about where the run was."""

    heading: ClassVar[str] = "where the run was"

    host: Annotated[
        Host | None,
        "what ran it; by default what the environment says",
        DefaultFromEnv("GITHUB_ACTIONS", "github"),
        DefaultFromEnv("GITLAB_CI", "gitlab"),
        DefaultFromEnv("JENKINS_URL", "jenkins"),
    ] = None
    run_url: Annotated[
        str,
        "web address of the run; by default that of GitHub, GitLab or Jenkins",
        DefaultFromEnv("GITHUB_RUN_ID", _GITHUB_URL),
        DefaultFromEnv("CI_PIPELINE_URL"),
        DefaultFromEnv("BUILD_URL"),
    ] = ""
    image: Annotated[
        str,
        "image that the notebooks ran in, best with its digest: NAME@sha256:...; "
        "by default $STEPKIT_IMAGE",
        DefaultFromEnv("STEPKIT_IMAGE"),
    ] = ""
    pod_image: Annotated[
        str,
        "image of the notebooks' pods, as a Pipeline knows it; it counts in Tekton alone, because "
        "run-local starts no pod",
    ] = ""
    stepkit_commit: Annotated[
        str,
        "commit that stepkit was built from; by default $STEPKIT_COMMIT, which its images have",
        DefaultFromEnv("STEPKIT_COMMIT"),
    ] = ""

    def identity(self, name: str | None, created: datetime | None) -> IdentityJson:
        """Return which run it was: ``name`` and ``created`` are those of its directory."""
        host = self.host or ("tekton" if _TEKTON.is_dir() else "local")
        given = self.image or (self.pod_image if host == "tekton" else "")
        image, _, digest = given.partition("@")
        return {
            "id": name,
            "created": created.isoformat(timespec="milliseconds") if created else None,
            "host": host,
            "url": redact(unchecked_values.line(self.run_url)) or None,
            "image": redact(unchecked_values.line(image)) or None,
            "image_digest": unchecked_values.line(digest) or None,
            "stepkit": stepkit.__version__,
            "stepkit_commit": unchecked_values.line(self.stepkit_commit) or None,
        }
