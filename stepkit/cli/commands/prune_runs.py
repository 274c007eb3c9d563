r"""Delete PipelineRuns of a cluster that ended long ago, with their TaskRuns and pods.

It works on the namespace of the pod in which it runs, with the service account that is mounted
there. A run is deleted if it is one of PIPELINES, ended longer ago than --older-than, and is not
among the --keep newest ended runs of its Pipeline. One that goes on, or that Tekton has yet to
start, is never deleted. Directories on the workspace stay: they are clean-workspace's. The logs of
its pods go with a run, and so does a volume that Tekton made for it (volumeClaimTemplate).

For example:

    stepkit prune-runs notebook-ci notebook-matrix --older-than 14d --keep 10 --dry-run true
"""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from stepkit.errors import ConfigurationError, ToolError
from stepkit.options import DETAIL, DURATION, POSITIONAL, AtLeast
from stepkit.tekton.cluster_options import ClusterOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from stepkit.tekton.cluster_runs import ClusterRun

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options(ClusterOptions):
    """Which runs to delete."""

    pipelines: Annotated[tuple[str, ...], "names of Pipelines whose runs to delete", POSITIONAL]
    older_than: Annotated[float, "how long ago a run must have ended, such as 14d", DURATION]
    keep: Annotated[int, "how many of each Pipeline's newest ended runs stay", AtLeast(0)] = 10
    dry_run: Annotated[bool, "list what would be deleted, and delete nothing"] = False


@dataclass(frozen=True, kw_only=True)
class PrunedRun:
    """One run: ``ended`` is when, in ISO 8601, ``reason`` is Tekton's word for how."""

    name: str
    pipeline: str
    ended: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What was deleted, or with ``--dry-run`` what would be."""

    runs: Annotated[int, "number of runs that were deleted"]
    kept: Annotated[int, "number of ended runs that stay"]
    going_on: Annotated[int, "number of runs that have not ended"]
    removed: Annotated[tuple[PrunedRun, ...], "each run that went", DETAIL] = ()
    message: Annotated[str, "what was deleted, in one sentence"] = ""


def run(options: Options) -> Outputs:
    """Delete the runs; what cannot be deleted is named at the end.

    Raises :class:`ToolError` when the server does not do what was asked, and
    :class:`ConfigurationError` without an account that may.
    """
    from stepkit.tekton import cluster_runs

    access = options.access()
    runs = options.runs(access, frozenset(options.pipelines))
    removed: list[ClusterRun] = []
    failed: list[ToolError] = []
    since = datetime.now(UTC) - timedelta(seconds=options.older_than)
    for one in _old(runs, since, options.keep):
        try:
            if options.dry_run or cluster_runs.delete(access, one):
                removed.append(one)
                verb = "would delete" if options.dry_run else "deleted"
                item = _item(one)
                logger.info("%s %s (%s), which ended %s", verb, item.name, item.reason, item.ended)
            else:  # it went meanwhile
                runs.remove(one)
        except ToolError as error:
            failed.append(error)
            logger.error("%s", error)  # noqa: TRY400 - not a bug of stepkit
        except ConfigurationError as error:
            raise error.leaving(_outputs(options, runs, removed)) from error
    outputs = _outputs(options, runs, removed)
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise ToolError(f"{failed[0]}{more}; {outputs.message}", outputs=outputs)
    return outputs


def _old(runs: Iterable[ClusterRun], since: datetime, keep: int) -> Iterator[ClusterRun]:
    """Yield what ended before ``since``, oldest first, but for the newest of each Pipeline."""
    ended: dict[str, list[tuple[datetime, str, ClusterRun]]] = defaultdict(list)
    for one in runs:
        if one.ended:
            ended[one.pipeline].append((one.ended, one.name, one))
    old = [
        found
        for of_pipeline in ended.values()
        for found in sorted(of_pipeline, reverse=True)[keep:]
        if found[0] < since
    ]
    yield from (one for _, _, one in sorted(old))


def _outputs(
    options: Options, runs: Sequence[ClusterRun], removed: Sequence[ClusterRun]
) -> Outputs:
    going_on = sum(not one.ended for one in runs)
    kept = len(runs) - going_on - len(removed)
    verb = "would delete" if options.dry_run else "deleted"
    count = f"{len(removed)} run{'s' * (len(removed) != 1)}"
    return Outputs(
        runs=len(removed),
        kept=kept,
        going_on=going_on,
        removed=tuple(map(_item, removed)),
        message=f"{verb} {count}; {kept} that ended stay, {going_on} going on",
    )


def _item(one: ClusterRun) -> PrunedRun:
    ended = one.ended.isoformat() if one.ended else ""
    return PrunedRun(name=one.name, pipeline=one.pipeline, ended=ended, reason=one.reason)
