"""Lint keeps the layers apart; these tests keep lint honest."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

BAD_STEP = """\
import os
import subprocess
import papermill
from stepkit import results, runner
from stepkit.steps import git_clone
os.environ.get("HOME")
print("hello")
"""


def test_lint_refuses_a_step_that_reaches_past_its_layer(tmp_path: Path) -> None:
    pytest.importorskip("ruff")
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=json"]
    name = ROOT / "stepkit/steps/bad_step.py"
    done = subprocess.run(
        [*command, f"--stdin-filename={name}", "-"],
        input=BAD_STEP,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )

    found = {(f["code"], f["location"]["row"]) for f in json.loads(done.stdout)}
    assert {("TID251", row) for row in (2, 3, 4, 5, 6)} <= found
    assert ("T201", 7) in found


@pytest.mark.parametrize("path", sorted(ROOT.glob("stepkit/**/*.py")), ids=lambda p: p.stem)
def test_modules_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]

    too_long = [f.name for f in functions if (f.end_lineno or 0) - f.lineno > 45]
    assert too_long == []
    assert len(text.splitlines()) <= 300
