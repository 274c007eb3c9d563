"""A step declares what a report shows of it, and the report names no step."""

import ast
import json
from pathlib import Path
from typing import get_args

import pytest
from jsonschema import Draft202012Validator
from step_reports import summary, write_report

import stepkit
from stepkit import steps
from stepkit.step import InReport, Section

REPORT = Path(stepkit.__file__).parent / "report"


def test_no_module_of_the_report_names_a_step() -> None:
    texts = {
        node.value: path.name
        for path in REPORT.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }

    assert {name: texts[name] for name in steps.MODULES if name in texts} == {}


@pytest.mark.parametrize("name", ["step_report", *filter(None, get_args(Section))])
def test_the_schema_of_each_section_is_valid(name: str) -> None:
    Draft202012Validator.check_schema(json.loads((REPORT / f"{name}.schema.json").read_text()))


def test_every_section_is_one_that_a_step_declares() -> None:
    assert {steps.in_report(name).section for name in steps.MODULES} == set(get_args(Section))


def test_an_unknown_step_has_its_row_alone_whatever_its_outputs_are(tmp_path: Path) -> None:
    outputs = {"cells": "x", "notebooks": [1], "total": [], "allowed": "many"}
    write_report(tmp_path, "future-step", message="done", outputs=outputs)

    page = summary(tmp_path)

    assert steps.in_report("future-step") == InReport()
    assert "| future-step | succeeded | 1.5 s | done |" in page
    assert "## " not in page
