"""A batch that is resumed runs the notebooks that failed, and takes the files of the others."""

import json
from pathlib import Path
from typing import Any

import pytest
from recorded import summarized
from samples import write_notebook

from stepkit.cli import main as cli
from stepkit.workspace import run_marker


def begin(run: Path, needed: Path, **env: str) -> list[str]:
    """Make a run's directory with two notebooks; return the arguments that execute them."""
    write_notebook(
        run / "source/good.ipynb", "import time; time.time()", "open('made', 'w').close()"
    )
    write_notebook(run / "source/late.ipynb", f"open({str(needed)!r}).close()")
    plan = {"notebooks": [{"path": "good.ipynb", "env": env}, {"path": "late.ipynb"}]}
    (run / "source/plan.yaml").write_text(json.dumps(plan))  # JSON is YAML
    run_marker.write(run, run=run.name, directories=())
    given = [f"--plan={run}/source/plan.yaml", f"--directory={run}/artifacts"]
    return ["execute-notebooks", *given, f"--reports={run}/reports", "--gpu=none"]


def report(run: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / f"reports/{name}.json").read_text())
    return found


@pytest.mark.slow
def test_only_what_failed_runs_again(tmp_path: Path) -> None:
    first, second, needed = tmp_path / "one", tmp_path / "two", tmp_path / "needed"
    assert cli.main(begin(first, needed)) == 3
    needed.touch()

    assert cli.main([*begin(second, needed), "--resume=one"]) == 0

    outputs = report(second, "execute-notebooks")["outputs"]
    assert (outputs["total"], outputs["passed"], outputs["reused"]) == (2, 1, 1)
    assert report(second, "execute-notebooks")["message"] == "1 of 2 notebooks passed, 1 reused"
    assert report(second, "good")["reused"]["run"] == "one"
    assert report(second, "late")["status"] == "succeeded"
    kept = (second / "artifacts/good.ipynb").read_bytes()
    assert kept == (first / "artifacts/good.ipynb").read_bytes()
    assert (second / "source/made").is_file()
    record = summarized(second)
    assert record["headline"] == "passed, 1 notebook reused from one"
    assert [(n["status"], n["reused_from"]) for n in record["notebooks"]] == [
        ("reused", "one"), ("passed", None),
    ]  # fmt: skip


@pytest.mark.slow
def test_a_batch_that_reuses_a_flaky_notebook_is_flaky(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    source = f"import os, pathlib\np = pathlib.Path({str(mark)!r})\nif not p.exists():\n"
    source += "    p.touch()\n    os._exit(3)"
    for name, resume in (("one", []), ("two", ["--resume=one"])):
        run = tmp_path / name
        write_notebook(run / "source/a.ipynb", source)
        run_marker.write(run, run=name, directories=())
        given = ["execute-notebooks", f"--notebooks={run}/source/a.ipynb", "--gpu=none"]
        given += [f"--directory={run}/artifacts", f"--reports={run}/reports", "--attempts=2"]
        assert cli.main([*given, *resume]) == 0

    found = report(tmp_path / "two", "execute-notebooks")
    assert (found["status"], found["outputs"]["reused"]) == ("flaky", 1)
    assert found["message"] == "0 of 1 notebooks passed, 1 reused (1 flaky)"
    assert found["outputs"]["test-output"]["warnings"] == 1
    assert summarized(tmp_path / "two")["verdict"] == "flaky"


@pytest.mark.slow
def test_a_notebook_with_variables_always_runs(tmp_path: Path) -> None:
    (needed := tmp_path / "needed").touch()
    assert cli.main(begin(tmp_path / "one", needed, A="1")) == 0

    assert cli.main([*begin(tmp_path / "two", needed, A="1"), "--resume=one"]) == 0

    assert report(tmp_path / "two", "good")["status"] == "succeeded"
