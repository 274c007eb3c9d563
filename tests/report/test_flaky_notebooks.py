"""A notebook that passed only when it ran again is flaky wherever a run is shown, never passed."""

import re
from pathlib import Path
from typing import Any

import pytest
import run_records
from recorded import summarized
from step_reports import write_report

from stepkit.cli import main as cli
from stepkit.report import short_message
from stepkit.report.run_json import RunJson
from stepkit.report.terminal.paint import Paint
from stepkit.report.terminal.run_page import run_page

MESSAGE = "1 of 1 cells ran, on attempt 2 of 3, after kernel-died"
ERROR = {"ename": "", "evalue": "", "source": "a = 1\nfit(a)", "line": 2, "traceback": "",
         "left_out": 0, "output": ["epoch 3"], "stack": ""}  # fmt: skip
ATTEMPTS = [
    {"number": 1, "rung": "as asked", "status": "failed", "reason": "kernel-died", "exit_code": 3,
     "message": "the kernel died in cell 1", "seconds": 75.0, "gpu_peak": None,
     "notebook": None, "cell": 0, "error": ERROR},
    {"number": 2, "rung": "as asked", "status": "succeeded", "reason": "ok", "exit_code": 0,
     "message": "1 of 1 cells ran", "seconds": 60.0, "gpu_peak": None,
     "notebook": None, "cell": None, "error": None},
]  # fmt: skip
CELL = {"number": 1, "index": 0, "id": "a", "title": "fit(a)", "injected": "", "status": "ok",
        "began": 2.5, "seconds": 50.0, "gpu_peak": None, "gpu_change": None, "rss_peak": None,
        "tolerance": "", "error": None}  # fmt: skip


def record(run: Path, **more: Any) -> RunJson:
    outputs = {"cells-total": 1, "cells-run": 1, "cells": [CELL], "attempts": ATTEMPTS}
    values = {"step": "execute-notebook", "status": "flaky", "message": MESSAGE,
              "options": {"notebook": "a.ipynb"}, "outputs": outputs}  # fmt: skip
    write_report(run / "reports", "notebook", **{**values, **more})
    return summarized(run, title="a.ipynb", enforce=True)


def test_the_verdict_is_flaky_with_exit_code_0_and_nothing_says_passed(tmp_path: Path) -> None:
    found = record(tmp_path)

    assert (found["verdict"], found["headline"]) == (
        "flaky",
        "flaky: 1 notebook had to run again",
    )
    assert (found["notebooks"][0]["status"], found["steps"][0]["status"]) == ("flaky", "flaky")
    assert found["cause"] is None
    first, second = found["notebooks"][0]["attempts"]
    assert (first["reason"], first["cell"], first["exit_code"]) == ("kernel-died", 0, 3)
    assert first["error"] is not None
    assert first["error"]["output"] == ["epoch 3"]
    assert (second["status"], second["error"]) == ("succeeded", None)
    summary = (tmp_path / "artifacts/STEP_SUMMARY.md").read_text()
    assert summary.startswith("# a.ipynb: flaky: 1 notebook had to run again\n")
    assert "| attempt | status | reason | time | what |" in summary
    assert "| 1 | **failed** | `kernel-died` | 1m15s | the kernel died in cell 1 |" in summary
    assert "What ended attempt 1" in summary
    assert "epoch 3" in summary
    assert "passed" not in summary
    assert "passed" not in short_message.render(found, link="").title
    assert short_message.render(found, link="").body.startswith(f"a.ipynb: flaky: {MESSAGE}")
    page = run_page(found, Paint())
    assert page.startswith("flaky: 1 notebook had to run again  a.ipynb")
    assert "a: 2 attempts" in page
    assert "passed" not in page


def test_the_summary_links_each_attempt_to_the_notebook_that_it_kept(tmp_path: Path) -> None:
    kept, last = (tmp_path / f"artifacts/{name}.ipynb" for name in ("out.attempt-1", "out"))
    attempts = [{**ATTEMPTS[0], "notebook": str(kept)}, {**ATTEMPTS[1], "notebook": str(last)}]
    record(tmp_path, outputs={"cells": [CELL], "notebook": str(last), "attempts": attempts})

    summary = (tmp_path / "artifacts/STEP_SUMMARY.md").read_text()

    assert "| [1](out.attempt-1.ipynb) | **failed** |" in summary
    assert "| [2](out.ipynb) | succeeded |" in summary


def test_the_page_shows_the_beginning_of_an_error_that_is_long(tmp_path: Path) -> None:
    error = {**ERROR, "ename": "ConnectionError", "evalue": "y" * 20_000}
    record(tmp_path, outputs={"attempts": [{**ATTEMPTS[0], "error": error}, ATTEMPTS[1]]})

    page = (tmp_path / "artifacts/report.html").read_text()

    (shown,) = re.findall(r'<p class="ename">(.*?)</p>', page)
    assert shown == f"ConnectionError: {'y' * 1497}..."


def test_the_page_has_the_attempts_with_what_ended_them(tmp_path: Path) -> None:
    record(tmp_path)

    page = (tmp_path / "artifacts/report.html").read_text()

    assert '<section id="attempts"' in page
    assert "What ended attempt 1" in page
    assert "epoch 3" in page
    assert "! flaky: a.ipynb" in page


@pytest.mark.parametrize(
    ("statuses", "headline"),
    [
        (["flaky", "tolerated"], "flaky: 1 notebook had to run again, 1 tolerated error"),
        (["flaky", "flaky"], "flaky: 2 notebooks had to run again"),
    ],
)
def test_the_headline_counts_flaky_notebooks_and_tolerated_errors(
    statuses: list[str], headline: str, tmp_path: Path
) -> None:
    for number, status in enumerate(statuses):
        cells = [{**CELL, "status": "tolerated" if status == "tolerated" else "ok"}]
        outputs = {"cells-total": 1, "cells-run": 1, "cells": cells}
        write_report(
            tmp_path / "reports",
            f"notebook-{number}",
            step="execute-notebook",
            status=status,
            outputs=outputs,
            options={"notebook": f"{number}.ipynb"},
        )

    found = summarized(tmp_path, title="all", enforce=True)

    assert (found["verdict"], found["headline"]) == ("flaky", headline)


def test_a_flaky_notebook_that_is_reused_stays_flaky(tmp_path: Path) -> None:
    before = {"run": "run-1", "status": "flaky", "message": MESSAGE,
              "started": "2026-11-22T07:00:00+00:00", "seconds": 60.0}  # fmt: skip

    found = record(tmp_path, status="reused", reused=before)

    assert (found["verdict"], found["notebooks"][0]["status"]) == ("flaky", "reused")
    assert found["headline"] == ("flaky: 1 notebook had to run again, 1 step reused from run-1")


def test_no_link_leads_to_an_error_that_the_notebook_of_a_flaky_failure_does_not_have(
    tmp_path: Path,
) -> None:
    out = tmp_path / "artifacts"
    outputs = {"cells": [CELL], "attempts": ATTEMPTS, "page": str(out / "out.html")}
    write_report(tmp_path / "reports", "notebook", step="execute-notebook", status="failed",
                 reason="flaky", exit_code=3, message="flaky", outputs=outputs,
                 artifacts=[{"path": str(out / "out.html"), "size": 1, "sha256": "0" * 64}],
                 options={"notebook": "a.ipynb"})  # fmt: skip

    summarized(tmp_path)

    assert "[**notebook as a page**](out.html), " in (out / "STEP_SUMMARY.md").read_text()
    page = (out / "report.html").read_text()
    assert '<a href="out.html">Its page</a>' in page
    assert "#first-error" not in page


def test_a_flaky_report_with_an_exit_code_is_a_failure(tmp_path: Path) -> None:
    write_report(tmp_path / "reports", "notebook", step="execute-notebook", status="flaky",
                 exit_code=3, options={"notebook": "a.ipynb"})  # fmt: skip

    code = cli.main(
        ["summarize", "--reports", str(tmp_path / "reports"), "--summary",
         str(tmp_path / "STEP_SUMMARY.md"), "--enforce", "true"]
    )  # fmt: skip

    assert code == 3
    text = (tmp_path / "STEP_SUMMARY.md").read_text()
    assert "its report says flaky, but its exit code is 3" in text


def test_several_notebooks_count_the_flaky_ones_apart() -> None:
    several = run_records.batch()
    several["notebooks"][0].update({"status": "flaky", "message": MESSAGE})

    assert "4 of 6 notebooks passed" in short_message.render(several, link="").body
    assert "quality.ipynb flaky: 1 of 1 cells ran" in short_message.render(several, link="").body
    assert "Notebooks: 4 of 6 passed, 1 flaky" in run_page(several, Paint())
