"""Readers of what programs write: records, reports, logs of the guard, answers of servers."""

# ruff: noqa: E501, ISC004 - tables of inputs and of readers, one a line

from __future__ import annotations

import gzip
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import run_records
from fuzz.inputs import json_lines, texts
from fuzz.reader import Reader, text
from nbclient.exceptions import CellExecutionComplete
from recorded import summarized

from stepkit.artifacts import manifest as artifact_manifest
from stepkit.datasets import cache as dataset_cache
from stepkit.datasets import unpack
from stepkit.engine import read_accelerated_calls, read_kernel_facts
from stepkit.engine.cell_log import CellLog
from stepkit.engine.cell_outputs import CellOutputs
from stepkit.engine.output_limit import OutputLimit
from stepkit.errors import Evidence, UserCodeError
from stepkit.formats import ansi_html, plain_text, prometheus_text
from stepkit.gpu.health import xid_errors
from stepkit.gpu.memory import read_guard_log
from stepkit.gpu.monitor import summary, timeline
from stepkit.html.sanitize import sanitize
from stepkit.notebook import progress_json
from stepkit.report import baseline, compare_runs, load_run, metrics_of_run
from stepkit.report.index import index_row
from stepkit.report.index.directory_store import DirectoryStore
from stepkit.report.index.keep_index import keep
from stepkit.report.page import email_body, report_page, timeline_file
from stepkit.report.summary import step_summary
from stepkit.report.terminal.paint import Paint
from stepkit.report.terminal.progress_page import progress_page
from stepkit.report.terminal.run_page import run_page
from stepkit.system import process_identity
from stepkit.test_suite import coverage, junit, record_outcomes
from stepkit.workspace import run_marker

RECORDS = [json.dumps(made()).encode() for made in (
    run_records.failed, run_records.compared, run_records.failed_tests, run_records.batch)]  # fmt: skip
REPORT = {
    "schema": "stepkit.report/2", "step": "execute-notebook", "status": "failed", "reason": "cell-error",
    "message": "m", "exit_code": 3, "started": "2026-11-22T08:00:00+00:00", "seconds": 1.5,
    "options": {"notebook": "a.ipynb", "output": "b.ipynb"}, "artifacts": ["b.ipynb"],
    "outputs": {"notebook": "b.ipynb", "cells": [{"number": 1, "status": "error", "title": "x", "seconds": 1}]},
    "error": {"ename": "E", "evalue": "v", "traceback": "t", "source": "s"}, "versions": {"stepkit": "0.1.0"},
}  # fmt: skip
CLONE = {**REPORT, "step": "git-clone", "status": "succeeded", "exit_code": 0,
         "outputs": {"commit": "0" * 40, "url": "https://a/b", "committer-date": 1}}  # fmt: skip
_RUNG = {"rung": "asked", "kind": "pool", "bytes": 4 << 30, "error": None}
GUARD = "\n".join(
    json.dumps({"pid": 7, **event})
    for event in (
        {"event": "installed"}, {"event": "imported", "version": "26.10"},
        {"event": "reinitialize", "by": "notebook", "arguments": "True", "asked": _RUNG, "served": _RUNG,
         "tried": [_RUNG], "error": None, "cuda": None},
        {"event": "statistics", "resource": "PoolMemoryResource", "peak_bytes": 5, "total_bytes": 9,
         "total_count": 2, "libraries": ["cudf"], "pages_leave": False, "ours": True},
        {"event": "warning", "text": "w"},
    )
).encode()  # fmt: skip
_TIMELINE = run_records.timeline(1, 3)
MESSAGES = "\n".join(map(json.dumps, [
    {"msg_type": "stream", "content": {"name": "stdout", "text": "a\rb\n"}},
    {"msg_type": "display_data", "content": {"data": {"text/plain": "x", "application/json": {"a": [1]}},
                                             "metadata": {}, "transient": {"display_id": "d"}}},
    {"msg_type": "update_display_data", "content": {"data": {"text/html": "<b>"}, "metadata": {},
                                                    "transient": {"display_id": "d"}}},
    {"msg_type": "execute_result", "content": {"data": {"image/png": "AA"}, "metadata": {}, "execution_count": 1}},
    {"msg_type": "error", "content": {"ename": "E", "evalue": "v", "traceback": ["t"]}},
    {"msg_type": "clear_output", "content": {"wait": True}},
    {"msg_type": "status", "content": {"execution_state": "idle"}},
    {"msg_type": "comm_open", "content": {"comm_id": "c", "target_name": "t", "data": {"state": {"a": 1}}}},
    {"msg_type": "comm_msg", "content": {"comm_id": "c", "data": {"method": "update", "state": {"b": 2}}}},
])).encode()  # fmt: skip
JUNIT = b"""<?xml version="1.0"?><testsuites><testsuite name="pytest" errors="0" tests="3"><testcase
classname="tests.test_a.TestA" name="b[1]" file="tests/test_a.py" time="0.1"><failure message="E: x">E   x
#x1B[31m</failure></testcase><testcase classname="a" name="c"><skipped type="pytest.xfail" message="m"/>
</testcase><testcase name="d" time="1,000.5"><error message="failed on setup">t</error></testcase></testsuite>
</testsuites>"""
COVERAGE = b"""<?xml version="1.0" ?><!DOCTYPE coverage SYSTEM "x.dtd"><coverage lines-valid="8"
lines-covered="7" line-rate="0.875"><packages><package name="a"/></packages></coverage>"""


def show_record(path: Path) -> None:
    """Load a record, and render it in every way."""
    run = load_run.load_run(path)
    good = run_records.failed()
    step_summary.render(run, report="report.html").encode()
    report_page.render(run, lambda _: None)
    email_body.render(run, link="https://a/b", note="n")
    run_page(run, Paint(), every=True)
    for one, other in ((run, good), (good, run)):
        compare_runs.compare(one, other)
    list(prometheus_text.lines(metrics_of_run.gauges(run)))
    assert index_row.is_row(index_row.row(path.read_bytes(), "a/run.json", "1", ""))


def show_reports(path: Path) -> None:
    """Make the record of a run with this report and a good one."""
    (path.parent / "reports").mkdir()
    path.rename(path.parent / "reports/a.json")
    (path.parent / "reports/b.json").write_text(json.dumps(CLONE))
    summarized(path.parent, expect=("a", "b"))


def show_timeline(path: Path) -> None:
    """Read a timeline in both ways."""
    path.write_bytes(gzip.compress(path.read_bytes(), 1))
    data = timeline_file.read(path)
    if data:
        run = run_records.failed()
        report_page.render(run, lambda _: data)
    summary.summary(timeline.read(path))


def show_progress(path: Path) -> None:
    now = progress_json.load(path)
    progress_json.is_running(path)
    progress_page(now, Paint(), rows=30)


def keep_index(path: Path) -> None:
    (path.parent / "run.json").write_bytes(RECORDS[0])
    keep(DirectoryStore(path.parent))


def read_artifacts(path: Path) -> None:
    for artifact in artifact_manifest.read(path.parent):
        artifact_manifest.difference(artifact, path.parent)


def take_messages(path: Path) -> None:
    """Let a cell's outputs take the messages; the notebook can be written afterwards."""
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x")])
    limit = OutputLimit(1000, path.with_name("o"), "1")
    client = CellOutputs(nb, cell_log=CellLog(log=True, stdout=None, stderr=None),
                         limits={0: limit}, changed=lambda _: None, record_timing=False)  # fmt: skip
    client.clear_before_next_output = False  # as before each cell
    for line in path.read_bytes().splitlines():
        try:
            message = json.loads(line)
            assert isinstance(message["msg_type"], str)
        except (ValueError, RecursionError, TypeError, KeyError, AssertionError):
            continue  # jupyter_client's own
        header = {"msg_type": message["msg_type"]}
        whole = {"metadata": {}, "content": {}, **message, "header": header, "parent_header": {}}
        with suppress(CellExecutionComplete):
            client.take(whole, nb.cells[0], 0)
    client.end_cell(0)
    nbformat.writes(nb)


def blame_gpu(path: Path) -> None:
    """Look for the driver's errors, of which a timeline has the numbers, and a cell the text."""
    said = text(path)
    numbers = [int(word) for word in said.split() if word.isdecimal() and len(word) < 9]
    raise xid_errors.explained(UserCodeError("x", evidence=Evidence(ename=said)), numbers)


def show_text(path: Path) -> None:
    said = text(path)
    for shown in (
        plain_text.plain(said),
        ansi_html.to_html(said),
        sanitize(said, alt="a", trusted=False),
    ):
        assert isinstance(shown, str)


_RUNS: dict[str, Any] = {
    "schema": "stepkit.runs/1", "targets": {"success": 95.0, "recovery_ms": None},
    "runs": [index_row.row(RECORDS[0], "run.json", "1", "")],
}  # fmt: skip
_PROGRESS = {
    "schema": "stepkit.progress/1", "notebook": "a", "output": "b", "process": process_identity.own(),
    "started": "2026-11-30T10:00:00+00:00", "written": "2026-11-30T10:00:01+00:00", "seconds": 1.0, "attempt": 1,
    "cells_total": 2, "memory_limit": None, "rss": 1, "gpus": [], "lines": ["x"], "ending": None, "cells": [],
    "cell": {"name": "cell 1", "number": 1, "title": "t", "began": 0.1, "seconds": 0.2},
}  # fmt: skip
READERS = {
    "run-json": Reader(read=show_record, seeds=RECORDS, name="run.json", cost=32),
    "report": Reader(read=show_reports, seeds=[json.dumps(REPORT).encode(), json.dumps(CLONE).encode()], cost=16),
    "runs-json": Reader(read=keep_index, seeds=[json.dumps(_RUNS).encode()], name="runs.json", cost=16),
    "progress": Reader(read=show_progress, seeds=[json.dumps(_PROGRESS).encode()]),
    "timeline": Reader(read=show_timeline, seeds=[json.dumps(_TIMELINE).encode()], cost=4),
    "packed-timeline": Reader(read=timeline.read, seeds=[gzip.compress(json.dumps(_TIMELINE).encode())], of=texts([])),
    "artifacts": Reader(read=read_artifacts, name="manifest.json", seeds=[
        b'{"schema": "stepkit.manifest/1", "artifacts": [{"path": "a", "size": 1, "sha256": "%s"}]}' % (b"0" * 64)]),
    "baseline": Reader(read=lambda path: baseline.read(str(path)), seeds=RECORDS[:1], name="run.json"),
    "sidecar": Reader(read=dataset_cache.read_sidecar, seeds=[
        b'{"sha256": "0", "size": 1, "url": "u", "created": "2026-11-30T10:00:00Z", "used": "2026-11-30T10:00:00Z"}']),
    "unpacked": Reader(read=lambda path: (unpack.intact(path.parent, "0"), unpack.holds_work(path.parent)),
                       name=unpack.MARKER, seeds=[
        b'{"schema": "stepkit.unpacked/1", "sha256": "0", "size": 1, "files": {}}']),
    "run-marker": Reader(read=lambda path: run_marker.read(path.parent), name=run_marker.NAME, seeds=[
        b'{"schema": "stepkit.run-directory/1", "created": "2026-11-30T10:00:00+00:00", "directories": ["a"], "run": "r",'
        b' "directory": "d", "inode": 1}']),
    "junit": Reader(read=junit.read, seeds=[JUNIT], of=texts(["<testcase ", "<failure>", "message='", "time='"])),
    "coverage": Reader(read=coverage.read, seeds=[COVERAGE], of=texts(["<coverage ", "lines-valid='", "<!ENTITY a"])),
    "outcomes": Reader(read=lambda path: record_outcomes.read(path.parent), name="recorded.json", seeds=[
        b'{"collected": ["a"], "ran": ["a"], "failed": [], "hidden": [], "removed": [], "passed": ["a"],'
        b' "interrupted": false, "stopped": "", "overruled": 0}']),
    "messages": Reader(read=take_messages, seeds=[MESSAGES], of=json_lines, cost=4),
    "kernel-facts": Reader(read=read_kernel_facts.read, seeds=[b'{"python": "3.11", "packages": {"a": "1"}}']),
    "accelerated": Reader(read=read_accelerated_calls.read, of=json_lines, seeds=[
        b'{"cell": 1, "calls": 3, "cpu_calls": 2, "out_of_memory": 0, "seconds": 1.5, "cpu_seconds": 1, "functions": '
        b'[{"name": "a", "calls": 1, "seconds": 1, "why": "w"}]}\n{"warning": "w"}']),
    "guard-log": Reader(read=read_guard_log.read, seeds=[GUARD], of=json_lines),
    "xid": Reader(read=blame_gpu, seeds=[b"cudaErrorECCUncorrectable XID 79 48 94"], of=texts(["79 ", "CUDARuntimeError"])),
    "shown-text": Reader(read=show_text, seeds=[b"\x1b[1;38;2;1;2;3mx\x1b[0m<table><tr><td style='a'>b"],
                         of=texts(["\x1b[", "38;5;", "<style>", "<a href='", "</", "<svg", "<!--", "<table>", "m"])),
}  # fmt: skip
