"""The lines that tell people how a run is going."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

from stepkit.formats.shorten import shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stepkit.run_local.plan import Plan, Unit
    from stepkit.run_local.task_run import Outcome

logger = logging.getLogger(__name__)

_SHOWN_RESULTS: Final = 3
_SHOWN_CHARACTERS: Final = 40
_SHOWN_HASH: Final = 7  # characters, as git does
_HASH: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def log_end(unit: Unit, outcome: Outcome, plan: Plan) -> None:
    """Log how ``unit`` ended: why it failed, or the first of its results."""
    if outcome.error:
        level = logging.WARNING if unit.ignored else logging.ERROR
        logger.log(level, "%s: failed in %.1f s: %s", unit.label, outcome.seconds, outcome.error)
        return
    shown = _shown(outcome.results, plan.secrets.redact)
    logger.info("%s: succeeded in %.1f s%s", unit.label, outcome.seconds, shown)


def _shown(results: Mapping[str, Any], redact: Callable[[str], str]) -> str:
    told = [(n, v) for n, v in results.items() if n not in {"status", "reason", "message"} and v]
    parts = []
    for name, value in told[:_SHOWN_RESULTS]:
        line = " ".join(redact(str(value)).split())  # first: a cut secret is not recognised
        room = _SHOWN_HASH if _HASH.fullmatch(line) else _SHOWN_CHARACTERS
        parts.append(f"{name}={shorten(line, room + 1, ellipsis='…')}")
    return f" ({', '.join(parts)})" if parts else ""
