"""Steps at the end of a run read the reports while those of the others are not finished."""

import os
from pathlib import Path

import pytest
from step_reports import load, write_report


@pytest.mark.parametrize("step", ["summarize", "publish-artifacts", "notify"])
def test_the_unfinished_report_of_a_last_step_decides_nothing(tmp_path: Path, step: str) -> None:
    write_report(tmp_path, "git-clone")
    write_report(tmp_path, step, status="failed", reason="killed", exit_code=None)

    run = load(tmp_path, "git-clone")

    assert run.verdict == "passed"
    assert [entry.name for entry in run.entries] == ["git-clone"]


def test_a_last_step_that_belongs_to_the_run_counts(tmp_path: Path) -> None:
    write_report(tmp_path, "publish-artifacts", status="failed", reason="network", exit_code=4)

    assert load(tmp_path, "publish-artifacts").verdict == "failed"


def test_a_report_too_large_to_be_one_is_a_failure_and_is_not_read(tmp_path: Path) -> None:
    write_report(tmp_path, "git-clone")
    os.truncate(tmp_path / "git-clone.json", (64 << 20) + 1)

    entry = load(tmp_path).entries[0]

    assert (entry.status, entry.reason) == ("failed", "bad-input")
    assert entry.message == "its report git-clone.json cannot be read: it has more than 64 MiB"
