"""Failures of tests that follow from that of the notebook: they are not what to look at first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stepkit.report.run_json import RunJson, TestsJson


def follow_on_failures(run: RunJson, suite: TestsJson) -> str:
    """Return a sentence for the failures of ``suite`` that follow from the notebook's, or ``""``.

    They do where the only notebook of a run is what decided its verdict: the tests looked at the
    page of a notebook that did not finish.
    """
    cause = run["cause"]
    count = sum(not test["allowed"] for test in suite["failures"])
    if not count or cause is None or cause["notebook"] is None or len(run["notebooks"]) > 1:
        return ""
    tests = "1 test" if count == 1 else f"{count} tests"
    return f"{tests} failed on the page of a notebook that did not finish"
