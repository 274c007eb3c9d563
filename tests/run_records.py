"""Records of runs, as run.json holds them: runs that passed, failed, or were never whole.

Each function takes overrides of the fields of what it makes. :func:`validate` compares a record
with the published schema; the tests of this module do so for each of :data:`RUNS`.
"""

# ruff: noqa: E501 - a record reads best with one thing a line

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from stepkit.formats import json_schema
from stepkit.report import run_json
from stepkit.report.compare_runs import compare
from stepkit.report.run_json import ArtifactJson, RunJson, StepJson, TestJson, TestsJson
from stepkit.report.run_json_notebook import (
    AttemptJson,
    CellJson,
    ErrorJson,
    GoldenJson,
    NotebookJson,
)

GIB = 1 << 30
SCHEMA = Path(run_json.__file__).with_name("run.schema.json")
COMMIT = "97959ef3c1a94a4d0b6c8f8c2f5f1f9d6d1a7b10"
TESTS_COMMIT = "4411aee1b2c3d4e5f60718293a4b5c6d7e8f9012"
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
TITLES = (
    'adata = sc.read_h5ad("krasnow_hlca_10x.h5ad")',
    "rsc.pp.calculate_qc_metrics(adata, qc_vars=['MT', 'RIBO'])",
    'adata = adata[adata.obs["n_genes_by_counts"] < 5000]',
    "rsc.pp.normalize_total(adata, target_sum=1e4)",
    "rsc.pp.log1p(adata)",
    "rsc.pp.highly_variable_genes(adata, n_top_genes=5000)",
    "rsc.pp.regress_out(adata, keys=['total_counts', 'pct_counts_MT'])",
    "rsc.pp.scale(adata, max_value=10)",
    "rsc.tl.pca(adata, n_comps=100)",
    "rsc.pp.neighbors(adata, n_neighbors=15, n_pcs=40)",
    "rsc.tl.umap(adata)",
    "rsc.tl.leiden(adata, resolution=0.6)",
    'sc.pl.umap(adata, color=["leiden", "cell_type"], legend_loc="on data")',
    'adata.write("processed.h5ad")',
)
SOURCE = """\
def scores(adata, key):
    return summary(adata.obsm[key])

def summary(matrix):
    return matrix.mean(axis=0)

scores(adata, "pca")"""
TRACEBACK = """\
\x1b[31m---------------------------------------------------------------------------\x1b[39m
\x1b[31mKeyError\x1b[39m                                  Traceback (most recent call last)
\x1b[36mCell\x1b[39m\x1b[36m \x1b[39m\x1b[32mIn[12]\x1b[39m\x1b[32m, line 7\x1b[39m
\x1b[32m      4\x1b[39m \x1b[38;5;28;01mdef\x1b[39;00m\x1b[38;5;250m \x1b[39msummary(matrix):
\x1b[32m      5\x1b[39m     \x1b[38;5;28;01mreturn\x1b[39;00m matrix.mean(axis=\x1b[32m0\x1b[39m)
\x1b[32m----> \x1b[39m\x1b[32m7\x1b[39m \x1b[30;43mscores(adata, "pca")\x1b[39;49m

\x1b[36mCell\x1b[39m\x1b[36m \x1b[39m\x1b[32mIn[12]\x1b[39m\x1b[32m, line 2\x1b[39m, in \x1b[36mscores\x1b[39m\x1b[34m(adata, key)\x1b[39m
\x1b[32m      1\x1b[39m \x1b[38;5;28;01mdef\x1b[39;00m\x1b[38;5;250m \x1b[39mscores(adata, key):
\x1b[32m----> \x1b[39m\x1b[32m2\x1b[39m     \x1b[38;5;28;01mreturn\x1b[39;00m summary(\x1b[30;43madata.obsm[key]\x1b[39;49m)

\x1b[31mKeyError\x1b[39m: 'pca'"""


def validate(record: RunJson) -> None:
    """Compare a record with the published schema, as a JSON document."""
    problems = json_schema.find_problems(json.loads(json.dumps(record)), SCHEMA)
    assert not problems, problems


def error(**values: Any) -> ErrorJson:
    usual: ErrorJson = {
        "ename": "KeyError", "evalue": "'pca'", "source": SOURCE, "line": 7,
        "traceback": TRACEBACK, "left_out": 0,
        "output": ["computing scores of 65,662 cells", "matrix: X_pca, X_umap"], "stack": "",
    }  # fmt: skip
    return cast("ErrorJson", {**usual, **values})


def cell(number: int = 1, **values: Any) -> CellJson:
    usual: CellJson = {
        "number": number, "index": number * 2, "id": f"cell{number:04d}",
        "title": TITLES[(number - 1) % len(TITLES)], "injected": "", "status": "ok",
        "start_ms": 6_000 + 2_000 * (number - 1), "duration_ms": 1_500,
        "gpu_peak": 4 * GIB, "gpu_change": 0, "rss_peak": 3 * GIB, "energy": None,
        "gpu_hours": None, "gpu_idle": None, "cpu_fallback": None, "cpu_fallback_calls": None,
        "tolerance": "", "error": None,
    }  # fmt: skip
    return cast("CellJson", {**usual, **values})


def cells(count: int, *, start_ms: int = 6_000, gpu: bool = True) -> list[CellJson]:
    """Return cells that all ran, one after the other; the same count gives the same cells."""
    chance, found, at = random.Random(count), [], start_ms
    for number in range(1, count + 1):
        length = int(chance.paretovariate(0.7) * 120) % 48_000
        memory = int((2 + 18 * abs(math.sin(number / 5))) * GIB)
        found.append(
            cell(
                number,
                start_ms=at,
                duration_ms=length,
                gpu_peak=memory if gpu else None,
                gpu_change=int(chance.uniform(-1, 2) * GIB) if gpu else None,
                rss_peak=int((2 + number / count * 6) * GIB),
                energy=round(length * 0.31, 1) if gpu else None,
                gpu_hours=round(length / 3_600_000, 6) if gpu else None,
                gpu_idle=round(abs(math.cos(number / 3)), 2) if gpu else None,
            )
        )
        at += length + 4
    return found


def device(index: int = 0, **values: Any) -> dict[str, Any]:
    usual = {
        "index": index, "name": "NVIDIA H100 80GB HBM3", "uuid": f"GPU-0000-{index}",
        "driver": "580.65.06", "cuda_driver": "13.0", "compute_capability": "9.0",
        "mig_mode": False, "memory_total": 80 * GIB, "memory_baseline": GIB // 2,
        "memory_peak": 21 * GIB, "process_memory_peak": 20 * GIB, "utilisation_mean": 61.4,
        "utilisation_max": 100.0, "memory_utilisation_mean": 30.1, "power_mean": 311.2,
        "power_max": 640.3, "energy": 21_433.0, "energy_source": "counter", "idle": 0.38, "temperature_max": 64.0, "sm_clock_max": 1980.0,
        "clock_reasons": [], "ecc_uncorrected": 0, "retired": 0, "xids": [],
    }  # fmt: skip
    return {**usual, **values}


def gpu(count: int = 1, **values: Any) -> dict[str, Any]:
    usual = {
        "devices": [device(index) for index in range(count)], "cpu_seconds": 142.2,
        "rss_peak": 8 * GIB, "processes_max": 3, "interval": 0.2, "samples": 520,
        "seconds": 104.0, "longest_pause": 0.21, "own_cpu_seconds": 0.3, "errors": [],
    }  # fmt: skip
    return {**usual, **values}


def guard(**values: Any) -> dict[str, Any]:
    usual = {
        "active": True, "rmm": True, "allocator": "pool of 40.0 GiB", "lowered": False,
        "calls": [], "more_calls": 0, "peak": 19 * GIB, "total": 312 * GIB,
        "allocations": 41_233, "cupy": 0, "overflow": 0, "warnings": [], "children": 0, "torn": 0,
    }  # fmt: skip
    return {**usual, **values}


def notebook(**values: Any) -> NotebookJson:
    """Return a notebook that passed; its counts follow from ``cells`` unless they are given."""
    found = cast("list[CellJson]", values.get("cells", cells(14)))
    ends = [c["start_ms"] + (c["duration_ms"] or 0) for c in found if c["start_ms"] is not None]
    usual: NotebookJson = {
        "name": "scrna_preprocessing", "path": "notebooks/scrna_preprocessing.ipynb",
        "repository": 0, "in_repository": "notebooks/scrna_preprocessing.ipynb",
        "step": "execute-notebook", "status": "passed", "reason": "ok",
        "message": f"{len(found)} of {len(found)} cells ran", "exit_code": 0, "variant": "",
        "parameters": {"n_pcs": 50}, "until": "", "start_ms": 4_000,
        "duration_ms": max(ends, default=5_000) - 4_000 + 900,
        "timeline_start_ms": 6_000, "cells_total": len(found),
        "cells_run": sum(c["status"] not in {"not-run", "skipped"} for c in found),
        "skipped": 0, "tolerated": sum(c["status"] == "tolerated" for c in found),
        "cells": found, "rules": None, "changes": [], "diff_text": "", "golden": None,
        "attempts": [], "strays": [],
        "messages_lost": 0, "allocator": "pool of 40.0 GiB",
        "gpu_peak": max((c["gpu_peak"] or 0 for c in found), default=0) or None,
        "rss_peak": max((c["rss_peak"] or 0 for c in found), default=0) or None,
        "energy": 21_433.0, "gpu_hours": 0.029, "gpu_idle": 0.38, "cpu_fallback": None,
        "cpu_fallback_calls": None, "gpu": gpu(), "guard": guard(),
        "kernel": {
            "name": "python3", "python": "3.12.11", "cuda_runtime": "13.0", "cuda_driver": "13.0",
            "packages": {
                "anndata": "0.12.2", "cudf-cu13": "25.10.0", "cupy-cuda13x": "13.6.0",
                "numpy": "2.2.6", "rapids-singlecell": "0.13.2", "rmm-cu13": "25.10.0",
                "scanpy": "1.11.4",
            },
        },
        "memory_limit": 16 * GIB, "reused_from": None, "executed": "output_analysis.ipynb",
        "page": "output_analysis.html", "log": "papermill.log",
        "timeline": "output_analysis.timeline.json.gz", "patched": None, "diff": None,
        "junit": None,
    }  # fmt: skip
    return cast("NotebookJson", {**usual, **values})


def golden(*differences: dict[str, Any], **values: Any) -> GoldenJson:
    """Return a comparison with a golden notebook in which outputs of cell 2 differ."""
    usual = {
        "cell": 2, "index": 1, "title": "df.head()", "output": "text/html",
        "message": "column n, row 1: 3 is not 2", "golden": "2", "new": "3", "images": [],
    }  # fmt: skip
    found = {
        "path": "golden/a.ipynb", "compared": 13, "differing": len(differences), "within": 0,
        "largest": 0.0, "ignored": [], "differences": [{**usual, **each} for each in differences],
    }  # fmt: skip
    return cast("GoldenJson", {**found, **values})


def step(
    name: str, start_ms: int | None = 0, duration_ms: int | None = 900, **values: Any
) -> StepJson:
    usual: StepJson = {
        "name": name, "command": name, "status": "succeeded", "reason": "ok", "message": "",
        "exit_code": 0, "start_ms": start_ms, "duration_ms": duration_ms,
        "report": f"../reports/{name}.json", "unfinished": False, "headline": False,
        "row_alone": False, "earlier": None, "reused_from": None, "again": [], "error": None,
    }  # fmt: skip
    return cast("StepJson", {**usual, **values})


def not_run_step(name: str) -> StepJson:
    return step(
        name, None, None, command="", status="not-run", reason="", exit_code=None, report=None
    )


def case(name: str = "test_umap", **values: Any) -> TestJson:
    usual: TestJson = {
        "name": f"tests/test_page.py::{name}", "status": "passed", "duration_ms": 120,
        "message": "", "text": "", "allowed": False, "reason": "",
    }  # fmt: skip
    return cast("TestJson", {**usual, **values})


def tests(**values: Any) -> TestsJson:
    usual: TestsJson = {
        "step": "run-tests", "message": "19 of 19 tests passed", "total": 19, "passed": 19,
        "failed": 0, "errors": 0, "skipped": 0, "allowed": 0, "coverage": 96.5,
        "installer": "uv", "installer_reason": "", "failures": [],
        "slowest": [case(f"test_{n}", duration_ms=900 - 70 * n) for n in range(10)],
        "skips": [], "report": "pytest_report.html", "junit": "pytest_results.xml",
        "log": "pytest_output.log",
    }  # fmt: skip
    return cast("TestsJson", {**usual, **values})


def artifact(path: str, size: int = 48_213, role: str = "", **values: Any) -> ArtifactJson:
    usual = {"path": path, "size": size, "sha256": SHA256, "media_type": "text/plain", "role": role}
    return cast("ArtifactJson", {**usual, **values})


ARTIFACTS = [
    artifact("output_analysis.html", 1_233_871, "page"),
    artifact("output_analysis.ipynb", 902_113, "notebook"),
    artifact("output_analysis.timeline.json.gz", 20_114, "timeline"),
    artifact("papermill.log", 11_230, "log"),
    artifact("jupyter_nbconvert.log", 512, "log"),
    artifact("pytest_output.log", 4_090, "log"),
    artifact("pytest_report.html", 48_222, "tests"),
    artifact("pytest_results.xml", 3_411, "tests"),
    artifact("coverage.xml", 8_118, "coverage"),
]


def run(**values: Any) -> RunJson:
    """Return the record of a run that passed; the steps follow the notebook's length."""
    notebooks = cast("list[NotebookJson]", values.get("notebooks", [notebook()]))
    end = max(
        ((n["start_ms"] or 0) + (n["duration_ms"] or 0) for n in notebooks if n["start_ms"]),
        default=5_000,
    )
    usual: RunJson = {
        "schema": "stepkit.run/1", "title": "notebooks/scrna_preprocessing.ipynb",
        "identity": {
            "id": "run-20261130-101500", "created": "2026-11-30T10:15:00.120+00:00",
            "host": "tekton", "url": None, "image": "registry.example.com/stepkit-gpu:1.4",
            "image_digest": f"sha256:{SHA256}", "stepkit": "0.9.0", "stepkit_commit": None,
        },
        "started": "2026-11-30T10:15:00.120+00:00", "duration_ms": end + 9_000,
        "verdict": "passed", "headline": "passed", "tolerated": 0, "cause": None, "not_run": [],
        "repositories": [
            {
                "step": "clone-notebooks", "url": "https://github.com/example/notebooks",
                "revision": "main", "commit": COMMIT, "committed": "2026-11-29T17:02:11+00:00",
            },
        ],
        "steps": [
            step("prepare-workspace", 0, 310, message="20.0 GiB are free"),
            step("clone-notebooks", 420, 2_210, message="97959ef of main"),
            step("clone-tests", 430, 1_820, message="4411aee of main"),
            step("prepare-tests", 2_400, 3_300, message="uv installed 41 packages"),
            step(
                "execute-notebook", 4_000, end - 4_000, message=notebooks[0]["message"] if notebooks else "",
                again=["stepkit", "execute-notebook", "--notebook", "notebooks/scrna_preprocessing.ipynb", "--output", "output_analysis.ipynb", "--rmm-mode", "pool"],
            ),
            step("convert-notebook", end + 200, 2_400, message="1.2 MB, no scripts"),
            step("run-tests", end + 2_700, 4_800, message="19 of 19 tests passed"),
            step("collect-artifacts", end + 7_600, 600, message="9 files, 2.2 MB"),
        ],
        "notebooks": notebooks, "tests": [tests()],
        "datasets": [
            {
                "step": "download-dataset", "name": "krasnow_hlca_10x.h5ad",
                "url": "https://datasets.example.com/krasnow_hlca_10x.h5ad",
                "path": "../data/krasnow_hlca_10x.h5ad", "size": 3 * GIB, "sha256": SHA256,
                "verified_by": "sha256", "from_cache": True,
            },
        ],
        "energy": 21_433.0, "gpu_hours": 0.029, "gpu_idle": 0.38,
        "environment": {
            "gpus": [{"index": 0, "name": "NVIDIA H100 80GB HBM3", "uuid": "GPU-0000-0", "memory_total": 80 * GIB}],
            "driver": "580.65.06", "cuda": "13.0", "memory_limit": 16 * GIB, "findings": [],
        },
        "artifacts": ARTIFACTS,
        "versions": {"stepkit": "0.9.0", "python": "3.12.11", "papermill": "2.7.0", "nbclient": "0.11.0"},
        "published": None, "comparison": None, "left_out": {},
    }  # fmt: skip
    return cast("RunJson", {**usual, **values})


def _fail_cell(found: list[CellJson], number: int, status: str, **values: Any) -> None:
    """Let a cell end as ``status``, and let those after it not run."""
    found[number - 1].update(cast("Any", {"status": status, **values}))
    for after in found[number:]:
        nothing = dict.fromkeys(
            ("start_ms", "duration_ms", "gpu_peak", "gpu_change", "rss_peak"), None
        )
        after.update(cast("Any", {"status": "not-run", **nothing}))


def _stopped(
    verdict: str, reason: str, code: int, message: str, status: str, evidence: ErrorJson
) -> RunJson:
    """Return a run whose 12th of 14 cells ended as ``status``."""
    found = cells(14)
    _fail_cell(found, 12, status, error=evidence)
    ended = "cancelled" if verdict == "cancelled" else "failed"
    failed_notebook = notebook(
        cells=found, status=ended, reason=reason, message=message, exit_code=code
    )
    record = run(notebooks=[failed_notebook], verdict=verdict, headline=verdict, tests=[])
    record["steps"][4].update(
        cast("Any", {"status": ended, "reason": reason, "message": message, "exit_code": code})
    )
    record["steps"][5:7] = [not_run_step("convert-notebook"), not_run_step("run-tests")]
    record["not_run"] = ["convert-notebook", "run-tests"]
    record["cause"] = {
        "step": "execute-notebook", "status": cast("Any", ended), "reason": reason,
        "exit_code": code, "message": message, "notebook": 0, "cell": 11, "error": evidence,
    }  # fmt: skip
    return record


def failed() -> RunJson:
    message = "cell 12 of 14 raised KeyError: 'pca'"
    return _stopped("failed", "cell-error", 3, message, "error", error())


def killed_kernel() -> RunJson:
    message = "cell 12 of 14: the kernel was killed by SIGKILL, probably out of memory"
    evidence = error(
        ename="", evalue="", traceback="", line=None,
        stack='Current thread 0x00007f (most recent call first):\n  File "<cell 12>", line 7',
    )  # fmt: skip
    record = _stopped("failed", "kernel-died", 4, message, "stopped", evidence)
    record["notebooks"][0].update({"kernel": None, "gpu": gpu(devices=[device(xids=[79])])})
    return record


def cancelled() -> RunJson:
    message = "stopped by SIGTERM in cell 12 of 14"
    evidence = error(ename="", evalue="", traceback="", output=[], line=None)
    return _stopped("cancelled", "cancelled", 143, message, "stopped", evidence)


def tolerated() -> RunJson:
    found = cells(14)
    found[6].update(
        {
            "status": "tolerated",
            "tolerance": "rules.yaml: known failure of regress_out with a constant column",
            "error": error(ename="ValueError", evalue="column MT is constant"),
        }
    )
    diff = '--- cell 1\n+++ cell 1\n@@ -1 +1 @@\n-path = "/home/ann/data"\n+path = "data"\n'
    changed = notebook(
        cells=found, status="tolerated", diff_text=diff, diff="output_analysis.diff",
        message="14 of 14 cells ran, 1 error was tolerated",
        rules={"path": "../source/ci/rules.yaml", "repository": 0, "in_repository": "ci/rules.yaml"},
        changes=[
            {"rule": "paths", "cell": 1, "id": "cell0001", "what": "replaced 1 text", "applied": True},
            {"rule": "downloads", "cell": 2, "id": "cell0002", "what": "left out the cell", "applied": True},
            {"rule": "old", "cell": None, "id": "", "what": "no cell matches", "applied": False},
        ],
    )  # fmt: skip
    record = run(
        notebooks=[changed], verdict="passed with tolerated errors", tolerated=2,
        headline="passed with 2 tolerated errors",
        tests=[
            tests(
                message="18 of 19 tests passed, 1 failure is allowed", passed=18, failed=1, allowed=1,
                failures=[case("test_plot", status="failed", allowed=True, reason="issue 41", message="assert 3 == 4", text="E   assert 3 == 4")],
            ),
        ],
    )  # fmt: skip
    record["steps"][4]["status"] = record["steps"][6]["status"] = "tolerated"
    return record


def flaky() -> RunJson:
    evidence = error(ename="", evalue="", traceback="", output=["epoch 3 of 9"], line=2)
    message = "14 of 14 cells ran, on attempt 2 of 3, after kernel-died"
    attempts: list[AttemptJson] = [
        {
            "number": 1, "allocator": "as asked", "status": "failed", "reason": "kernel-died",
            "message": "the kernel was killed by SIGSEGV in cell 8 of 14 (`leiden(adata)`)",
            "exit_code": 3, "duration_ms": 31_200, "gpu_peak": 9 << 30, "cell": 7,
            "error": evidence, "executed": "output_analysis.attempt-1.ipynb",
        },
        {
            "number": 2, "allocator": "as asked", "status": "succeeded", "reason": "ok",
            "message": "14 of 14 cells ran", "exit_code": 0, "duration_ms": 55_000,
            "gpu_peak": 11 << 30, "cell": None, "error": None,
            "executed": "output_analysis.ipynb",
        },
    ]  # fmt: skip
    again = notebook(cells=cells(14), status="flaky", message=message, attempts=attempts)
    headline = "flaky: 1 notebook had to run again"
    record = run(notebooks=[again], verdict="flaky", headline=headline)
    record["steps"][4].update({"status": "flaky", "message": message})
    return record


def failed_tests() -> RunJson:
    text = "    def test_leiden(page):\n>       assert clusters(page) == 12\nE       assert 11 == 12\n\ntests/test_page.py:41: AssertionError"
    failures = [
        case("test_leiden", status="failed", message="assert 11 == 12", text=text),
        case("test_umap", status="error", message="fixture 'page' not found", text="E  fixture"),
    ]  # fmt: skip
    skips = [case("test_gpu", status="skipped", reason="needs two GPUs", duration_ms=0)]
    message = "1 test failed and 1 had an error, of 19"
    suite = tests(
        message=message, passed=16, failed=1, errors=1, skipped=1, failures=failures, skips=skips
    )
    record = run(verdict="failed", headline="failed", tests=[suite])
    record["steps"][6].update(
        {"status": "failed", "reason": "tests-failed", "message": message, "exit_code": 3}
    )
    evidence = error(
        ename="AssertionError",
        evalue="assert 11 == 12",
        source="",
        traceback=text,
        line=None,
        output=[],
    )
    record["cause"] = {
        "step": "run-tests", "status": "failed", "reason": "tests-failed", "exit_code": 3,
        "message": message, "notebook": None, "cell": None, "error": evidence,
    }  # fmt: skip
    return record


def incomplete() -> RunJson:
    record = run(verdict="incomplete", headline="incomplete", tests=[])
    record["steps"][5:] = [not_run_step(s["name"]) for s in record["steps"][5:]]
    record["not_run"] = [s["name"] for s in record["steps"][5:]]
    record["artifacts"] = []
    return record


def empty() -> RunJson:
    """Return a run that left nothing."""
    record = run(
        notebooks=[], tests=[], datasets=[], artifacts=[], repositories=[], versions={},
        started=None, duration_ms=None, verdict="incomplete", headline="incomplete",
        steps=[not_run_step("git-clone"), not_run_step("execute-notebook")],
        not_run=["git-clone", "execute-notebook"],
    )  # fmt: skip
    record["environment"] = {
        "gpus": [], "driver": "", "cuda": "", "memory_limit": None, "findings": [],
    }  # fmt: skip
    return record


def not_checked_out() -> RunJson:
    """Return a run whose notebook could not be cloned, while its tests were."""
    record = empty()
    message = "the server has no branch nosuch"
    failure = {"status": "failed", "reason": "not-found", "exit_code": 2, "message": message}
    record["repositories"] = [
        {
            "step": "clone-notebooks", "url": "https://github.com/example/notebooks",
            "revision": "nosuch", "commit": "", "committed": None,
        },
        {
            "step": "clone-tests", "url": "https://github.com/example/tests",
            "revision": "main", "commit": TESTS_COMMIT, "committed": None,
        },
    ]  # fmt: skip
    record["steps"] = [
        step("clone-notebooks", 420, 210, **failure), step("clone-tests", 430, 1_820),
        not_run_step("execute-notebook"),
    ]  # fmt: skip
    record["cause"] = cast(
        "Any", {"step": "clone-notebooks", "notebook": None, "cell": None, "error": None, **failure}
    )
    return cast(
        "RunJson",
        {
            **record, "verdict": "failed", "headline": "failed", "not_run": ["execute-notebook"],
            "started": "2026-11-30T11:15:00.120+00:00", "duration_ms": 2_250,
        },
    )  # fmt: skip


def of_cells(count: int) -> RunJson:
    return run(notebooks=[notebook(cells=cells(count))])


def no_gpu() -> RunJson:
    plain = notebook(
        cells=cells(14, gpu=False), gpu=gpu(0), guard=guard(active=False, peak=None), allocator="",
        **dict.fromkeys(("energy", "gpu_hours", "gpu_idle")),
    )  # fmt: skip
    record = run(notebooks=[plain], **dict.fromkeys(("energy", "gpu_hours", "gpu_idle")))
    record["environment"].update({"gpus": [], "driver": "", "cuda": ""})
    return record


def gpus(count: int) -> RunJson:
    record = run(notebooks=[notebook(gpu=gpu(count))])
    one = record["environment"]["gpus"][0]
    record["environment"]["gpus"] = [
        {**one, "index": index, "uuid": f"GPU-0000-{index}"} for index in range(count)
    ]
    return record


def compared() -> RunJson:
    """Return a run that is compared with one that was quicker."""
    record = run()
    for found in record["notebooks"][0]["cells"]:
        found["duration_ms"] = 3 * (found["duration_ms"] or 0) + 1_500
    record["duration_ms"] = 90_000
    record["comparison"] = compare(record, run())
    return record


def _several(pairs: list[tuple[str, str]], step_name: str) -> RunJson:
    """Return a run of (name, variant) notebooks, of which the third failed."""
    found, at = [], 4_000
    for number, (name, variant) in enumerate(pairs):
        own = cells(6 + 2 * number, start_ms=at + 900)
        stem = f"{name}_{variant}" if variant else name
        values: dict[str, Any] = {
            "name": name, "path": f"notebooks/{name}.ipynb", "in_repository": f"notebooks/{name}.ipynb",
            "variant": variant, "cells": own,
            "start_ms": at, "step": step_name, "executed": f"{stem}.ipynb", "page": f"{stem}.html",
            "timeline": f"{stem}.timeline.json.gz", "timeline_start_ms": at + 900,
        }  # fmt: skip
        if number == 2:
            _fail_cell(own, 5, "error", error=error())
            values |= {
                "status": "failed", "reason": "cell-error", "exit_code": 3,
                "message": f"cell 5 of {len(own)} raised KeyError: 'pca'",
            }  # fmt: skip
        ends = [c["start_ms"] + (c["duration_ms"] or 0) for c in own if c["start_ms"] is not None]
        values["duration_ms"] = max(ends) - at + 400
        at = max(ends) + 600
        found.append(notebook(**values))
    message = f"{len(found) - 1} of {len(found)} notebooks passed, 1 failed"
    record = run(
        notebooks=found, verdict="failed", headline="failed", tests=[], title="all notebooks",
        artifacts=[artifact(n["page"] or "", 900_000, "page") for n in found],
    )  # fmt: skip
    record["steps"][4].update({"status": "failed", "reason": "cell-error", "message": message})
    record["cause"] = {
        "step": step_name, "status": "failed", "reason": "cell-error", "exit_code": 3,
        "message": message, "notebook": 2, "cell": 4, "error": found[2]["cells"][4]["error"],
    }  # fmt: skip
    return record


def batch() -> RunJson:
    names = ("quality", "normalise", "cluster", "umap", "markers", "export")
    return _several([(name, "") for name in names], "execute-notebooks")


def matrix() -> RunJson:
    pairs = [(n, v) for n in ("quality", "cluster", "markers") for v in ("full", "lite")]
    return _several(pairs, "execute-notebook")


def timeline(devices: int = 1, rows: int = 520, seconds: float = 104.0) -> dict[str, Any]:
    """Return the samples of a run, as ``NAME.timeline.json.gz`` holds them."""
    chance, step_seconds = random.Random(rows), seconds / rows
    columns: dict[str, list[float | None]] = {
        "cpu_seconds": [n * step_seconds * 1.4 for n in range(rows)],
        "rss": [round((1 + 6 * n / rows) * GIB) for n in range(rows)],
        "processes": [3] * rows,
    }
    for number in range(devices):
        wave = [abs(math.sin(n / rows * 12 + number)) for n in range(rows)]
        columns |= {
            f"gpu{number}.memory_used": [round((0.5 + 20 * w) * GIB) for w in wave],
            f"gpu{number}.utilisation": [round(100 * w * chance.random()) for w in wave],
            f"gpu{number}.power": [round(90 + 500 * w) for w in wave],
            f"gpu{number}.clock_reasons": [64 if rows // 3 < n < rows // 2 else 0 for n in range(rows)],
        }  # fmt: skip
    extents = {
        name: {"first": c[0], "last": c[-1], "highest": max(v or 0 for v in c), "mean": 1.0}
        for name, c in columns.items()
    }
    return {
        "schema": "stepkit.timeline/1", "interval": 0.2, "columns": columns, "extents": extents,
        "seconds": [round(n * step_seconds - 0.4, 3) for n in range(rows)], "stride": 1,
        "samples": rows, "longest_pause": 0.21, "own_cpu_seconds": 0.3, "errors": [],
        "devices": [{"index": n, "name": "NVIDIA H100", "memory_total": 80 * GIB} for n in range(devices)],
        "xids": [{"seconds": seconds / 2, "device": 0, "number": 79}] if devices else [],
    }  # fmt: skip


HOSTILE = "</script><img src=x onerror=alert(1)>\x1b[31m\"'`{{ 7*7 }}\x00\ud800"
_CHOSEN = {"schema", "verdict", "status", "started", "role", "injected", "level", "host", "change"}


def hostile(value: Any) -> Any:
    """Return a record with hostile text after each text that is free to be anything."""
    if isinstance(value, dict):
        return {k: v if k in _CHOSEN else hostile(v) for k, v in value.items()}
    if isinstance(value, list):
        return [hostile(entry) for entry in value]
    return value + HOSTILE if isinstance(value, str) else value


RUNS: dict[str, Callable[[], RunJson]] = {
    "passed": run, "tolerated": tolerated, "flaky": flaky, "failed": failed, "failed_tests": failed_tests,
    "killed_kernel": killed_kernel, "cancelled": cancelled, "incomplete": incomplete,
    "empty": empty, "no_cells": lambda: of_cells(0), "500_cells": lambda: of_cells(500),
    "no_gpu": no_gpu, "8_gpus": lambda: gpus(8), "batch": batch, "matrix": matrix,
    "compared": compared, "not_checked_out": not_checked_out,
}  # fmt: skip
