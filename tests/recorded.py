"""Run summarize on reports in a run's directory, and read the record that it wrote."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import run_records

from stepkit.report.run_json import RunJson
from stepkit.steps import summarize

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def summarized(run: Path, /, **options: Any) -> RunJson:
    """Return run.json of the reports in ``run``/reports, which fits the published schema."""
    options = {"reports": run / "reports", "summary": run / "artifacts/STEP_SUMMARY.md", **options}
    outputs = summarize.run(summarize.Options(**options))
    assert outputs.run
    record = cast("RunJson", json.loads(outputs.run.read_bytes()))
    run_records.validate(record)
    assert [text for text in _texts(record) if _CONTROL.search(text)] == []
    return record


def _texts(value: Any) -> Iterator[str]:
    """Yield all texts but tracebacks, which have colours."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from () if name == "traceback" else _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
