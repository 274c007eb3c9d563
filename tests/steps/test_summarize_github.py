"""The summary of a job on GitHub, beside which there is no file of the run."""

from pathlib import Path
from typing import Any

import pytest
from rendered_markdown import Rendered
from step_reports import write_report

from stepkit.steps import summarize


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """Write the reports of a run whose notebook has a page beside the summary."""
    out = tmp_path / "run/artifacts"
    cell = {"number": 1, "seconds": 1.0, "title": "a()", "injected": "", "status": "ok",
            "error": None}  # fmt: skip
    outputs = {"cells-run": 1, "cells-total": 1, "cells": [cell], "page": f"{out}/a.html",
               "notebook": f"{out}/a.ipynb"}  # fmt: skip
    page = {"path": f"{out}/a.html", "size": 10, "sha256": "ab" * 32}
    write_report(tmp_path / "run/reports", "execute-notebook", outputs=outputs, artifacts=[page])
    return tmp_path / "run/reports"


def links(reports: Path, **options: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Return the links of the summary beside the artifacts, and of the job's."""
    summary, github = reports.parent / "artifacts/STEP_SUMMARY.md", reports.parent / "job.md"
    summarize.run(
        summarize.Options(reports=reports, summary=summary, github_summary=github, **options)
    )
    return Rendered(summary.read_text()).links, Rendered(github.read_text()).links


def test_without_an_address_a_jobs_summary_links_no_file(reports: Path) -> None:
    beside, job = links(reports)

    assert (beside["1"], beside["a.html"]) == ("a.html#cell-1", "a.html")
    assert job == {}


def test_with_the_address_of_the_artifacts_it_links_them(reports: Path) -> None:
    beside, job = links(reports, url_base="https://pages.example.com/run-7/")

    assert job["1"] == "https://pages.example.com/run-7/a.html#cell-1"
    assert beside["1"] == "a.html#cell-1"


def test_the_address_of_what_was_published_before_is_known(reports: Path) -> None:
    url = "https://pages.example.com/run-7/a.html"
    write_report(reports, "publish-artifacts", outputs={"url": url, "location": "/srv/run-7"})

    _, job = links(reports, expect=("execute-notebook", "publish-artifacts"))

    assert job["1"] == "https://pages.example.com/run-7/a.html#cell-1"
    assert job["as published"] == url


def test_a_summary_elsewhere_finds_the_files_beside_run_json(reports: Path) -> None:
    run = reports.parent / "artifacts/run.json"
    summary = reports.parent / "my summary/page.md"

    summarize.run(summarize.Options(reports=reports, summary=summary, run=run))

    assert Rendered(summary.read_text()).links["1"] == "../artifacts/a.html#cell-1"
