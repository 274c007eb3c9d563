"""The options of a step that compares a run with an earlier one."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from stepkit.errors import ConfigurationError, StepError
from stepkit.options import Metavar
from stepkit.report import baseline, compare_runs, fail_on
from stepkit.report.steps_of_run import GOOD

if TYPE_CHECKING:
    from stepkit.report.run_json import RunJson

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ComparisonOptions:
    """Flags about the comparison."""

    heading: ClassVar[str] = "comparison with an earlier run"

    baseline: Annotated[
        str,
        "run to compare with: run.json, a directory, also one of many runs, or the https:// URL of "
        "a run.json or runs.json",
    ] = ""
    fail_on: Annotated[
        str,
        "exit with code 3 if a run that passed is worse than this, such as "
        "slower=1.5x,memory=1.2x (of seconds, and of memory); no-baseline: also if there is no "
        "baseline",
        Metavar("KEY=RATIO,..."),
    ] = ""

    def check(self) -> None:
        """Raise :class:`ConfigurationError` for flags that are wrong."""
        if fail_on.parse(self.fail_on) != fail_on.FailOn() and not self.baseline:
            raise ConfigurationError("--fail-on needs --baseline: the run to compare with")

    def add_comparison(self, record: RunJson) -> StepError | None:
        """Put the comparison into ``record``; return the error that --fail-on asks for.

        A baseline that cannot be read is a warning, and a note in the comparison.
        """
        if not self.baseline:
            return None
        limits = fail_on.parse(self.fail_on)
        try:
            found = baseline.read(self.baseline, record)
        except StepError as error:
            logger.warning("not compared: %s", error)
            record["comparison"] = compare_runs.without_baseline(str(error))
            return error.leaving(None, prefix="no baseline: ") if limits.no_baseline else None
        comparison = limits.apply(
            compare_runs.compare(
                record, found.run, found.earlier, source=found.source, **limits.ratios
            )
        )
        record["comparison"] = comparison
        logger.info("%s", comparison["message"])
        if not comparison["regressions"] or record["verdict"] not in GOOD:
            return None
        for sentence in comparison["regressions"]:
            logger.warning("regression: %s", sentence)
        count = len(comparison["regressions"])
        record["headline"] += f", {count} {'regression' if count == 1 else 'regressions'}"
        return fail_on.error(comparison)
