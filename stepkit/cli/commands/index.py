r"""Write a page of many runs: index.html and runs.json, beside the runs.

Each run.json below a directory or an s3:// prefix is a row: verdict, notebook, commit, duration,
tests and GPU memory, with a link to its report. Above them stand how often each notebook passed of
late, and how success, duration, use of the GPU and recovery compare with targets. `latest` and
`latest-passed` lead to a run. Records that did not change are not read again. Several commands may
write the same index at once.

For example:

    stepkit index runs --success-target 90
    stepkit index s3://runs/notebooks --endpoint-url https://minio.example.com
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from stepkit.artifacts.storage_options import StorageOptions
from stepkit.errors import ConfigurationError
from stepkit.options import DURATION, POSITIONAL

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options(StorageOptions):
    """Where the runs are, and what is aimed at."""

    runs: Annotated[str, "directory of the runs, or s3://bucket/prefix", POSITIONAL]
    success_target: Annotated[
        float | None, "percent of runs that pass; by default as before, at first 95"
    ] = None
    duration_target: Annotated[
        float | None, "mean duration of a run; by default as before, at first 30m", DURATION
    ] = None
    utilisation_target: Annotated[
        float | None, "percent of the GPU that is used; by default as before, at first 70"
    ] = None
    recovery_target: Annotated[
        float | None,
        "time from a failed run to the next one of its notebook that passes; none at first",
        DURATION,
    ] = None


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The index."""

    index: Annotated[str, "path or s3:// URL of index.html"]
    runs: Annotated[int, "number of runs in it"]
    unreadable: Annotated[int, "records that cannot be read"] = 0
    message: Annotated[str, "what is in it, in one sentence"] = ""


def run(options: Options) -> Outputs:
    """Make the index anew of what is there."""
    from stepkit.artifacts.s3 import Bucket
    from stepkit.artifacts.s3_access import SCHEME
    from stepkit.report.index import keep_index
    from stepkit.report.index.directory_store import DirectoryStore
    from stepkit.system.retry import retrying

    if options.runs.startswith(SCHEME):
        store: Any = Bucket(options.runs, options.access, timeout=options.timeout)
    elif "://" in options.runs:
        raise ConfigurationError(
            f"cannot index {options.runs.partition('://')[0]}://: name a directory or {SCHEME}"
        )
    else:
        store = DirectoryStore(Path(options.runs))
    kept = retrying(options.attempts)(keep_index.keep, store, targets=_targets(options))
    count = len(kept.runs["runs"])
    for row in kept.unreadable:
        logger.warning("%s: %s", store.location(row["path"]), row["unreadable"])
    message = f"{count} runs, {kept.read} of them new or changed"
    if kept.unreadable:
        message += f", {len(kept.unreadable)} unreadable"
    where = store.location("index.html")
    return Outputs(
        index=where,
        runs=count,
        unreadable=len(kept.unreadable),
        message=f"{message}: {where}",
    )


def _targets(options: Options) -> dict[str, float]:
    """Return the targets that were given, as runs.json has them."""
    for name in ("success_target", "utilisation_target"):
        value = getattr(options, name)
        if value is not None and not 0 <= value <= 100:  # noqa: PLR2004 - percent
            flag = name.replace("_", "-")
            raise ConfigurationError(f"--{flag} {value:g} is not a percentage from 0 to 100")
    given = {
        "success": options.success_target,
        "duration_ms": options.duration_target and options.duration_target * 1000,
        "gpu_utilisation": options.utilisation_target,
        "recovery_ms": options.recovery_target and options.recovery_target * 1000,
    }
    return {
        name: round(value) if name.endswith("_ms") else value
        for name, value in given.items()
        if value is not None
    }
