"""Paths in the record are relative to its directory, so that a run can be moved as a whole."""

import json
import shutil
from pathlib import Path

import pytest
from recorded import summarized
from step_reports import write_report


def test_paths_inside_the_run_are_relative_and_others_are_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "work/run 1"
    outputs = {
        "notebook": str(run / "artifacts/a.ipynb"),
        "log": str(run / "logs/../logs/b\nc.log"),
        "timeline": "/elsewhere/a.json.gz",
    }
    monkeypatch.chdir(tmp_path)
    options = {"notebook": "work/run 1/source/a.ipynb"}
    write_report(run / "reports", "execute-notebook", outputs=outputs, options=options)

    record = summarized(run)

    (notebook,) = record["notebooks"]
    assert (notebook["executed"], notebook["log"]) == ("a.ipynb", "../logs/b\nc.log")
    assert (notebook["path"], notebook["timeline"]) == (
        "../source/a.ipynb", "/elsewhere/a.json.gz",
    )  # fmt: skip
    assert record["steps"][0]["report"] == "../reports/execute-notebook.json"


def test_a_notebook_outside_of_the_run_has_the_path_that_was_given(tmp_path: Path) -> None:
    options = {"notebook": "notebooks/a.ipynb"}
    write_report(tmp_path / "reports", "execute-notebook", options=options)

    assert summarized(tmp_path)["notebooks"][0]["path"] == "notebooks/a.ipynb"


def test_the_mark_of_a_run_says_where_it_ends_and_what_it_is(tmp_path: Path) -> None:
    run = tmp_path / "run-7"
    mark = {
        "schema": "stepkit.run/1", "run": "run-7", "directory": "run-7", "inode": 1,
        "created": "2026-11-22T07:59:58+00:00", "directories": [],
    }  # fmt: skip
    write_report(run / "a/b/reports", "execute-notebook", outputs={"notebook": f"{run}/x.ipynb"})
    (run / ".stepkit-run.json").write_text(json.dumps(mark))

    record = summarized(run, reports=run / "a/b/reports", summary=run / "c/d/STEP_SUMMARY.md")

    assert record["notebooks"][0]["executed"] == "../../x.ipynb"
    assert record["identity"]["id"] == "run-7"
    assert record["identity"]["created"] == "2026-11-22T07:59:58.000+00:00"


def test_a_run_that_was_moved_has_the_paths_that_it_had(tmp_path: Path) -> None:
    run = tmp_path / "workspace/run-1"
    write_report(run / "reports", "prepare-workspace", outputs={"directory": str(run)})
    executed = {"notebook": str(run / "artifacts/a.ipynb")}
    write_report(run / "reports", "execute-notebook", outputs=executed)
    before = summarized(run)
    shutil.move(run, tmp_path / "downloaded")

    after = summarized(tmp_path / "downloaded")

    assert after["notebooks"][0]["executed"] == "a.ipynb"
    assert [step["report"] for step in after["steps"]] == [s["report"] for s in before["steps"]]


def test_without_a_directory_in_common_the_run_is_where_its_record_is(tmp_path: Path) -> None:
    reports, out = tmp_path / "a/b/reports", tmp_path / "c/out"
    executed = {"notebook": str(tmp_path / "a/b/x.ipynb"), "log": str(out / "x.log")}
    write_report(reports, "execute-notebook", outputs=executed)

    record = summarized(tmp_path, reports=reports, summary=out / "STEP_SUMMARY.md")

    (notebook,) = record["notebooks"]
    assert (notebook["executed"], notebook["log"]) == (f"{tmp_path}/a/b/x.ipynb", "x.log")


def test_a_run_behind_a_symbolic_link_has_relative_paths(tmp_path: Path) -> None:
    run = tmp_path / "disk/run-1"
    executed = {"notebook": str(run / "artifacts/a.ipynb")}
    write_report(run / "reports", "execute-notebook", outputs=executed)
    (tmp_path / "link").symlink_to("disk/run-1")

    record = summarized(tmp_path / "link")

    assert record["notebooks"][0]["executed"] == "a.ipynb"
