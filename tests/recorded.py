"""Run summarize on reports in a run's directory, and read the record that it wrote."""

import json
from pathlib import Path
from typing import Any, cast

import run_records

from stepkit.report.run_json import RunJson
from stepkit.steps import summarize


def summarized(run: Path, /, **options: Any) -> RunJson:
    """Return run.json of the reports in ``run``/reports, which fits the published schema."""
    options = {"reports": run / "reports", "summary": run / "artifacts/STEP_SUMMARY.md", **options}
    outputs = summarize.run(summarize.Options(**options))
    assert outputs.run
    record = cast("RunJson", json.loads(outputs.run.read_bytes()))
    run_records.validate(record)
    return record
