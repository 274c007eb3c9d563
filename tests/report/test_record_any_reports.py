"""Whatever JSON reports hold, summarize ends, run.json fits its schema, and has metrics."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import summarized

import stepkit
from stepkit import steps
from stepkit.formats import prometheus_text
from stepkit.report import metrics_of_run
from stepkit.step import Section

REPORT = Path(stepkit.__file__).parent / "report"
TEXTS = st.text(max_size=8) | st.sampled_from(
    ["", "2026-11-22T08:00:00+00:00", "0001-01-01T00:00:00+14:00", "killed", "../x", "/etc/passwd"]
)
NUMBERS = st.integers(-(10**15), 10**15) | st.floats(-1e15, 1e15, allow_nan=False)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS | st.just(float("inf")) | st.just(10**400)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2)
)
# Outputs that run.json reads though no schema checks them.
UNCHECKED = (
    "notebook", "log", "page", "kernel", "kernel-facts", "memory-limit", "zero", "timeline",
    "patched", "diff", "junit", "strays", "messages-lost", "slowest", "skips", "html-report",
    "coverage-report", "checkout",
)  # fmt: skip


def fitting(schema: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return values that fit a schema; what it does not name may be anything."""
    reference = schema.get("$ref", "")
    if reference and not reference.endswith("/limits"):
        return fitting(root["$defs"][reference.rpartition("/")[2]], root)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "pattern" in schema:
        return st.sampled_from(["stepkit.report/1", "stepkit.report/2", "stepkit.report/3"])
    kinds = schema.get("type", "object")
    return st.one_of(
        *(_of_kind(kind, schema, root) for kind in ([kinds] if isinstance(kinds, str) else kinds))
    )


def _of_kind(kind: str, schema: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[Any]:
    if kind == "object":
        known = {name: fitting(inner, root) for name, inner in schema.get("properties", {}).items()}
        required = {name: known.pop(name, ANYTHING) for name in schema.get("required", ())}
        return st.fixed_dictionaries(required, optional=known)
    if kind == "array":
        return st.lists(fitting(schema["items"], root), max_size=2)
    return {
        "string": TEXTS, "integer": st.integers(-(10**15), 10**15), "number": NUMBERS,
        "boolean": st.booleans(), "null": st.none(),
    }[kind]  # fmt: skip


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((REPORT / f"{name}.schema.json").read_text())
    return found


def reports(section: str, step: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return reports of a step, whose outputs fit its section."""
    outer, inner = schema("step_report"), schema(section)
    outputs = inner["properties"]["outputs"]
    return st.builds(
        lambda report, known, unchecked, options: {
            **report, "step": step, "outputs": {**unchecked, **known}, "options": options,
        },
        fitting(outer, outer),
        fitting({"type": "object", **outputs}, inner),
        st.fixed_dictionaries({}, optional=dict.fromkeys(UNCHECKED, ANYTHING)),
        st.dictionaries(st.sampled_from(["notebook", "url", "revision", "page"]), ANYTHING),
    )  # fmt: skip


STEPS: dict[str, str] = {steps.in_report(name).section: name for name in steps.MODULES}


@pytest.mark.slow
@pytest.mark.parametrize("section", list(filter(None, get_args(Section))))
@settings(max_examples=50)
@given(data=st.data())
def test_any_reports_of_a_section_make_a_record(section: str, data: st.DataObject) -> None:
    report = data.draw(reports(section, STEPS[section]))
    with TemporaryDirectory() as name:
        run = Path(name)
        (run / "reports").mkdir()
        (run / "reports/a.json").write_text(json.dumps(report, default=str))
        (run / "reports/b.json").write_text(json.dumps(report, default=str))
        record = summarized(run, expect=("a", "b"))
        assert "".join(prometheus_text.lines(metrics_of_run.gauges(record))).encode()
