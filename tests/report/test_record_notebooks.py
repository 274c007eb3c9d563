"""The notebooks of a run in its record: one entry each, wherever their reports come from."""

from pathlib import Path
from typing import Any

from recorded import summarized
from step_reports import write_report

FAILED = {"status": "failed", "reason": "cell-error", "exit_code": 3, "message": "KeyError"}
EXECUTED = {"step": "execute-notebook", "message": "1 of 1 cells ran"}


def cell(number: int, **values: Any) -> dict[str, Any]:
    usual = {"number": number, "title": "x", "status": "ok", "seconds": 1.0, "injected": ""}
    return {**usual, "error": None, **values}


def item(name: str, status: str = "passed", **values: Any) -> dict[str, Any]:
    """Return what execute-notebooks reports of a notebook."""
    usual = {
        "name": name, "path": f"nb/{name}.ipynb", "status": status, "reason": "ok",
        "message": "1 of 1 cells ran", "until": "", "seconds": 2.0, "exit_code": 0,
        "cells_run": 1, "cells_total": 1, "tolerated": 0, "report": f"/x/{name}.json",
    }  # fmt: skip
    return {**usual, **values}


def test_cells_and_samples_are_on_the_clock_of_the_run(tmp_path: Path) -> None:
    outputs = {
        "zero": "2026-11-22T08:00:02.500+00:00",
        "cells": [cell(1, began=0.25, seconds=1.5, index=4), cell(2, status="not-run")],
    }
    write_report(tmp_path / "reports", "git-clone")
    write_report(
        tmp_path / "reports", "execute-notebook", started="2026-11-22T08:00:01+00:00",
        seconds=5, outputs=outputs,
    )  # fmt: skip

    (notebook,) = summarized(tmp_path)["notebooks"]

    assert (notebook["start_ms"], notebook["duration_ms"]) == (1000, 5000)
    assert notebook["timeline_start_ms"] == 2500
    first, second = notebook["cells"]
    assert (first["start_ms"], first["duration_ms"], first["index"]) == (2750, 1500, 4)
    assert (second["start_ms"], second["index"]) == (None, 1)


def test_a_report_of_the_first_version_has_cells_without_a_place_on_the_clock(
    tmp_path: Path,
) -> None:
    old = {
        "number": 1, "seconds": 1.5, "began": 0.5, "status": "error", "first_line": "{}['pca']",
        "ename": "KeyError", "evalue": "'pca'",
    }  # fmt: skip
    write_report(
        tmp_path / "reports", "execute-notebook", schema="stepkit.report/1",
        outputs={"cells": [old], "cells-run": 0, "cells-total": 1}, **FAILED,
    )  # fmt: skip

    (notebook,) = summarized(tmp_path)["notebooks"]

    (cell,) = notebook["cells"]
    assert (cell["title"], cell["start_ms"], cell["duration_ms"]) == ("{}['pca']", None, 1500)
    assert cell["error"] is not None
    assert (cell["error"]["ename"], cell["error"]["line"]) == ("KeyError", None)


def test_each_notebook_of_a_batch_has_its_own_report_or_says_why_it_has_none(
    tmp_path: Path,
) -> None:
    write_report(tmp_path / "reports", "a", outputs={"cells": [cell(1)]}, **EXECUTED)
    write_report(
        tmp_path / "reports", "b", outputs={"cells": [cell(1, status="error")]},
        **{**EXECUTED, **FAILED},
    )  # fmt: skip
    gone = item(
        "c", "skipped", reason="", message="needs UCX", until="2999-01-01", seconds=0.0,
        exit_code=None, cells_run=None, cells_total=None, report=None,
    )  # fmt: skip
    killed = item("d", "failed", reason="killed", message="killed", exit_code=None, report=None)
    notebooks = [item("a"), item("b", "failed", reason="cell-error", exit_code=3), gone, killed]
    write_report(
        tmp_path / "reports", "execute-notebooks", outputs={"notebooks": notebooks}, **FAILED
    )

    record = summarized(tmp_path)

    found = [(n["name"], n["path"], n["status"], n["reason"]) for n in record["notebooks"]]
    assert found == [
        ("a", "nb/a.ipynb", "passed", "ok"),
        ("b", "nb/b.ipynb", "failed", "cell-error"),
        ("c", "nb/c.ipynb", "skipped", ""),
        ("d", "nb/d.ipynb", "failed", "killed"),
    ]
    assert {n["step"] for n in record["notebooks"]} == {"execute-notebooks"}
    assert [len(n["cells"]) for n in record["notebooks"]] == [1, 1, 0, 0]
    skipped = record["notebooks"][2]
    assert (skipped["message"], skipped["until"]) == ("needs UCX", "2999-01-01")
    assert (skipped["start_ms"], skipped["duration_ms"]) == (None, None)
    assert [step["name"] for step in record["steps"]] == ["execute-notebooks"]
    assert record["cause"] is not None
    assert (record["cause"]["notebook"], record["cause"]["cell"]) == (1, 0)


def test_of_a_batch_and_a_notebooks_own_report_the_worse_is_true(tmp_path: Path) -> None:
    write_report(tmp_path / "reports", "a", **{**EXECUTED, **FAILED})
    write_report(tmp_path / "reports", "execute-notebooks", outputs={"notebooks": [item("a")]})

    (notebook,) = summarized(tmp_path)["notebooks"]

    assert (notebook["status"], notebook["reason"], notebook["message"]) == (
        "failed", "cell-error", "KeyError",
    )  # fmt: skip


def test_an_unknown_status_of_a_notebook_is_not_taken_for_a_success(tmp_path: Path) -> None:
    notebooks = [item("a", "splendid"), item("b", "flaky")]
    write_report(tmp_path / "reports", "execute-notebooks", outputs={"notebooks": notebooks})

    record = summarized(tmp_path)

    assert [notebook["status"] for notebook in record["notebooks"]] == ["failed", "flaky"]


def test_each_notebook_of_a_matrix_is_there_also_one_that_left_no_report(tmp_path: Path) -> None:
    write_report(tmp_path / "reports/nb", "a.ipynb", **EXECUTED)
    write_report(tmp_path / "reports/nb", "b.ipynb", outputs={"variant": "lite"}, **EXECUTED)
    names = ("nb/a.ipynb", "nb/b.ipynb", "nb/c.ipynb")

    record = summarized(tmp_path, expect=names)

    found = [(n["step"], n["name"], n["variant"], n["status"]) for n in record["notebooks"]]
    assert found == [
        ("nb/a.ipynb", "a", "", "passed"),
        ("nb/b.ipynb", "b", "lite", "passed"),
        ("nb/c.ipynb", "c", "", "not-run"),
    ]
    assert record["steps"][1]["report"] == "../reports/nb/b.ipynb.json"


def test_the_page_of_a_notebook_is_found_where_another_step_made_it(tmp_path: Path) -> None:
    executed = str(tmp_path / "artifacts/a.ipynb")
    write_report(
        tmp_path / "reports", "execute-notebook", outputs={"notebook": executed, "cells": []}
    )
    write_report(
        tmp_path / "reports", "convert-notebook", options={"notebook": executed},
        outputs={"page": str(tmp_path / "artifacts/a.html")},
    )  # fmt: skip

    (notebook,) = summarized(tmp_path)["notebooks"]

    assert (notebook["executed"], notebook["page"]) == ("a.ipynb", "a.html")


def test_peaks_and_energy_are_those_of_all_gpus(tmp_path: Path) -> None:
    devices = [
        {"index": 0, "memory_peak": 5, "energy": 1.5},
        {"index": 1, "memory_peak": 9, "energy": 2.0},
    ]
    outputs = {
        "gpu": {"devices": devices, "rss_peak": 30},
        "cells": [cell(1, gpu_peak=7, rss_peak=20)],
        "kernel": "python3",
        "kernel-facts": {"python": "3.12.1", "packages": {"numpy": "2.1", "odd": None}},
        "memory-limit": 64,
    }
    write_report(tmp_path / "reports", "execute-notebook", outputs=outputs)

    record = summarized(tmp_path)

    (notebook,) = record["notebooks"]
    assert (notebook["gpu_peak"], notebook["rss_peak"], notebook["energy"]) == (9, 30, 3.5)
    assert notebook["kernel"] == {
        "name": "python3", "python": "3.12.1", "cuda_runtime": "", "cuda_driver": "",
        "packages": {"numpy": "2.1"},
    }  # fmt: skip
    assert notebook["memory_limit"] == record["environment"]["memory_limit"] == 64
    assert [gpu["index"] for gpu in record["environment"]["gpus"]] == [0, 1]


def test_gpu_hours_are_the_gpus_times_the_length(tmp_path: Path) -> None:
    devices = [{"index": 0, "idle": 0.5, "energy": 9.0}, {"index": 1, "idle": 0.25}]
    cells = [{**cell(1, gpu_idle=0.75, energy=3.5), "seconds": 36.0}, {**cell(2), "seconds": None}]
    outputs = {"gpu": {"devices": devices}, "cells": cells}
    write_report(tmp_path / "reports", "execute-notebook", outputs=outputs, seconds=90.0)

    record = summarized(tmp_path)

    (notebook,) = record["notebooks"]
    assert (notebook["gpu_hours"], notebook["gpu_idle"]) == (0.05, 0.375)
    assert notebook["energy"] is None  # that of one GPU is unknown
    assert [c["gpu_hours"] for c in notebook["cells"]] == [0.02, None]
    assert [c["gpu_idle"] for c in notebook["cells"]] == [0.75, None]
    assert [c["energy"] for c in notebook["cells"]] == [3.5, None]
    assert (record["gpu_hours"], record["gpu_idle"], record["energy"]) == (0.05, 0.375, None)


def test_cells_that_rules_took_out_are_counted(tmp_path: Path) -> None:
    cells = [cell(1), cell(3), cell(0, injected="parameters")]
    outputs = {"cells": cells, "cells-total": 3, "cells-run": 2}
    write_report(tmp_path / "reports", "execute-notebook", outputs=outputs)

    (notebook,) = summarized(tmp_path)["notebooks"]

    assert (notebook["cells_total"], notebook["cells_run"], notebook["skipped"]) == (3, 2, 1)
    assert [c["injected"] for c in notebook["cells"]] == ["", "", "parameters"]
