"""Compare two runs: times, memory, versions, tests and files.

Each run is its run.json, the directory that it is in, or a web address. The first one may also be a
directory with many runs: the latest one in it that passed and ran the same notebook is taken, and
the earlier ones say how much times differ from run to run.

For example:

    stepkit compare runs/run-6 runs/run-7 --fail-on slower=1.5x,memory=1.2x
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from stepkit.options import DETAIL, POSITIONAL, PRINTED, Metavar


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which runs to compare."""

    baseline: Annotated[str, "earlier run: run.json, a directory, or an https:// URL", POSITIONAL]
    run: Annotated[str, "run that is compared with it", POSITIONAL]
    fail_on: Annotated[
        str,
        "exit with code 3 if the run is worse than this, such as slower=1.5x,memory=1.2x (of "
        "seconds, and of memory)",
        Metavar("KEY=RATIO,..."),
    ] = ""


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What differs."""

    text: Annotated[str, "the differences as a table", PRINTED]
    comparison: Annotated[Mapping[str, Any] | None, "as in run.json", DETAIL] = None
    message: Annotated[str, "the differences in one sentence"] = ""


def run(options: Options) -> Outputs:
    """Compare the runs; raise :class:`~stepkit.errors.UserCodeError` for a regression."""
    from stepkit.report import baseline, comparison_text, fail_on
    from stepkit.report.compare_runs import compare

    limits = fail_on.parse(options.fail_on)
    current = baseline.read(options.run).run
    earlier = baseline.read(options.baseline, current)
    comparison = limits.apply(
        compare(current, earlier.run, earlier.earlier, source=earlier.source, **limits.ratios)
    )
    outputs = Outputs(
        text="\n".join(comparison_text.page(comparison)),
        comparison=comparison,
        message=comparison["message"],
    )
    if comparison["regressions"]:
        raise fail_on.error(comparison, outputs)
    return outputs
