"""The web address of a run, from the report of the step that publishes it at the same time."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from stepkit.report import read_step_reports
from stepkit.report.web_links import web_url

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.5


def await_link(report: Path, in_report: read_step_reports.Declarations, *, timeout: float) -> str:
    """Return the output ``url`` of ``report`` once its step has ended, within ``timeout`` seconds.

    It is ``""``, with a warning, if the step does not end in time, failed, or has no such address.
    ``in_report`` returns what a step declares, by its name.
    """
    deadline = time.monotonic() + timeout
    while True:
        entry = read_step_reports.read(report, in_report) if report.exists() else None
        if entry and not entry.unfinished:
            break
        if time.monotonic() >= deadline:
            state = "has not ended" if entry else "did not come"
            logger.warning("waited %g s for the published address: %s %s", timeout, report, state)
            return ""
        time.sleep(_POLL_SECONDS)
    if entry.bad:
        logger.warning("there is no published address: %s: %s", entry.name, entry.message)
        return ""
    url = entry.output("url")
    link = web_url(url) if isinstance(url, str) else ""
    if not link:
        logger.warning("%s has no web address: set url-base of %s", report, entry.name)
    return link
