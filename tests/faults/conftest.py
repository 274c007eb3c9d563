import os

import pytest
from faults.harness import fault
from faults.outcomes import Outcomes

__all__ = ["fault"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what happened to the rows; STEPKIT_FAULTS_RECORD has it written for docs/faults.md."""
    outcomes = Outcomes()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                outcomes.add(report)
    if outcomes.cases:
        terminalreporter.section("faults")
        for line in outcomes.table():
            terminalreporter.line("  ".join(f"{text:>7}" for text in line))
    if os.environ.get("STEPKIT_FAULTS_RECORD"):
        outcomes.write()
