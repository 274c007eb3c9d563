r"""Run a Tekton Pipeline on this machine, without a cluster.

For example:

    stepkit run-local tasks/pipelines/notebook-ci.yaml --workspace shared=/tmp/work \
        --param notebook-url=https://github.com/NVIDIA-AI-Blueprints/single-cell-analysis-blueprint
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from stepkit.options import POSITIONAL


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which Pipeline to run, and with what."""

    pipeline: Annotated[Path, "file with the Tekton Pipeline", POSITIONAL]


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """How the run went."""

    run: Annotated[str, "name of the run"]


def run(options: Options) -> Outputs:
    """Run the Pipeline."""
    return Outputs(run=str(options.pipeline))
