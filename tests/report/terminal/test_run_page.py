"""A run on a terminal: everything that report.html shows, and nothing that acts on the terminal."""

import re
from typing import Any

import pytest
import run_records
from hypothesis import given, settings
from hypothesis import strategies as st

from stepkit.report.compare_runs import compare
from stepkit.report.terminal.paint import Paint
from stepkit.report.terminal.run_page import run_page

HOSTILE = "\x1b[2J\x1b]0;title\x07\u202e\x9b31m\r\x00"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
PLAIN = Paint()


def poisoned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: poisoned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item) for item in value]
    return f"{HOSTILE}{value}{HOSTILE}" if isinstance(value, str) else value


@pytest.mark.parametrize("name", run_records.RUNS)
def test_each_run_shows_its_verdict_steps_and_files(name: str) -> None:
    record = run_records.RUNS[name]()

    page = run_page(record, PLAIN)

    assert page.startswith(f"{record['headline']}  {record['title']}\n")
    for step in record["steps"]:
        assert f"{step['status'].replace('-', ' '):<9}  {step['name']}" in page
    for artifact in record["artifacts"]:
        assert f"\n{artifact['path']}" in page
    assert "\x1b" not in page
    assert "\n\n\n" not in page
    assert not any(line != line.rstrip() for line in page.splitlines())


def test_a_failed_cell_is_shown_with_its_line_traceback_last_output_and_remedies() -> None:
    page = run_page(run_records.failed(), PLAIN)

    parts = (
        "execute-notebook failed: cell 12 of 14 raised KeyError: 'pca' [cell-error, exit code 3]",
        "in output_analysis.html#cell-12",
        "--- cell 12 of 14, line 7 ----",
        '\n----> 7 scores(adata, "pca")\n',
        "Cell In[12], line 2, in scores(adata, key)",
        "\nKeyError: 'pca'",
        "  | computing scores of 65,662 cells",
        "not run: convert-notebook, run-tests",
        "What to try\n- read the traceback",
        "Steps\nsucceeded  prepare-workspace",
        "error: rsc.tl.leiden(adata, ",
        "not run: adata.write",
    )
    assert [part for part in parts if part not in page] == []
    places = [page.index(part) for part in parts]
    assert places == sorted(places)


def test_the_evidence_of_a_failed_suite_is_that_of_the_first_test() -> None:
    page = run_page(run_records.failed_tests(), PLAIN)

    assert "--- tests/test_page.py::test_leiden ---" in page
    assert "E       assert 11 == 12" in page
    assert "error      tests/test_page.py::test_umap: fixture 'page' not found" in page


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("name", run_records.RUNS)
def test_hostile_text_cannot_act_on_the_terminal(name: str, *, colour: bool) -> None:
    record = poisoned(run_records.RUNS[name]())
    for tests in record["tests"]:
        tests["coverage"] = 50.0

    page = run_page(record, Paint(colour=colour))

    rest = COLOUR.sub("", page)
    assert not re.search(
        "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", rest
    )
    assert colour or rest == page


def test_colours_say_how_a_step_ended_beside_the_word() -> None:
    page = run_page(run_records.failed(), Paint(colour=True))

    assert page.startswith("\x1b[1;31mfailed\x1b[0m  \x1b[1mnotebooks/")
    assert "\x1b[1;31mfailed   \x1b[0m  execute-notebook" in page
    assert '\x1b[1m----> 7 scores(adata, "pca")\x1b[0m' in page
    assert COLOUR.sub("", page) == run_page(run_records.failed(), PLAIN)


def test_a_step_that_is_not_asked_for_keeps_the_columns() -> None:
    record = run_records.run()
    record["steps"][1]["status"] = "not-asked-for"

    page = run_page(record, PLAIN).splitlines()

    begin = page.index("Steps") + 1
    rows = page[begin : begin + len(record["steps"])]
    assert rows[1].startswith("not asked for  ")
    assert rows[0].startswith("succeeded      ")


def test_of_many_cells_the_slow_and_the_bad_ones_are_shown() -> None:
    record = run_records.of_cells(500)
    cells = record["notebooks"][0]["cells"]
    cells[120]["status"], cells[120]["duration_ms"] = "tolerated", 0

    page, whole = run_page(record, PLAIN), run_page(record, PLAIN, every=True)

    slowest = max(cells, key=lambda cell: cell["duration_ms"] or 0)
    assert "484 more cells, all of them quicker or not run: --all shows them" in page
    assert f"\n{slowest['number']:>5}  " in page
    assert "\n  121  " in page
    assert all(f"\n{cell['number']:>5}  " in whole for cell in cells)
    assert "more cells" not in whole


def test_of_several_notebooks_all_are_listed_and_the_failed_one_has_its_cells() -> None:
    record = run_records.batch()

    page = run_page(record, PLAIN)

    assert "Notebooks: 5 of 6 passed\n" in page
    assert "failed     cluster" in page
    assert "cluster: cell 5 of 10 raised KeyError: 'pca'\nin cluster.html#cell-5" in page
    tables = re.findall(r"^(\S+): \d+ cells ok, 1 failed", page, flags=re.MULTILINE)
    assert tables == ["cluster"]
    every = run_page(record, PLAIN, every=True)
    assert len(re.findall(r"cells (ran|ok, 1 failed, .*), GPU", every)) == 6


def test_what_was_tolerated_is_shown_with_its_reason() -> None:
    page = run_page(run_records.tolerated(), PLAIN)

    assert "cell 7: ValueError: column MT is constant: rules.yaml: known failure" in page
    assert "no cell: old: no cell matches (not applied)" in page
    assert "Tests: 18 of 19 passed, coverage of the tests' repository 96.5 %" in page
    assert "allowed    tests/test_page.py::test_plot: assert 3 == 4" in page


def test_a_comparison_and_what_was_left_out_of_the_record_are_shown() -> None:
    record = run_records.failed()
    record["comparison"] = compare(record, run_records.run(), source="../base/run.json")
    record["left_out"] = {"cells": 900, "evidence": 12}

    page = run_page(record, PLAIN)

    assert "Compared with an earlier run\nagainst run-20261130-101500 (97959ef3c1a9): " in page
    assert page.endswith("run.json leaves out, to stay small: 900 cells, 12 evidence")


def test_without_a_gpu_there_is_no_column_for_it() -> None:
    page = run_page(run_records.no_gpu(), PLAIN)

    assert "\nno GPU, memory limit 16.0 GiB" in page
    assert "share     memory\n" in page


@pytest.mark.parametrize(("width", "shown"), [(80, False), (120, True)])
def test_cells_that_left_the_gpu_idle_have_a_column_where_there_is_room(
    width: int, *, shown: bool
) -> None:
    page = run_page(run_records.run(), Paint(width=width))
    busy = run_records.run()
    for cell in busy["notebooks"][0]["cells"]:
        cell["gpu_idle"] = 0.2

    assert ", 0.029 GPU-hours, GPU idle 38 %, 21.4 kJ" in page
    assert ("share       GPU   idle     memory\n" in page) is shown
    assert ("   94 %  " in page) is shown
    assert "   idle  " not in run_page(busy, Paint(width=width))


def test_a_checkout_that_failed_is_named_and_no_machine_that_was_not_seen() -> None:
    page = run_page(run_records.not_checked_out(), PLAIN)

    assert "\nnot checked out: https://github.com/example/notebooks (nosuch)\n" in page
    assert "\n4411aee1b2c3 of https://github.com/example/tests (main)\n" in page
    assert "no GPU" not in page


@pytest.mark.parametrize("width", [80, 120])
def test_tables_stay_within_the_width_of_the_terminal(width: int) -> None:
    record = run_records.failed()
    for cell in record["notebooks"][0]["cells"]:
        cell["title"] = "x" * 500
    for step in record["steps"]:
        step["message"] = "y" * 500

    page = run_page(record, Paint(width=width))

    rows = [line for line in page.splitlines() if "xxx" in line or "yyy" in line]
    assert len(rows) == 22
    assert max(map(len, rows)) == width


@given(
    begin=st.floats(0, 1), length=st.floats(0, 1), columns=st.integers(1, 60), plain=st.booleans()
)
@settings(max_examples=100, deadline=None)
def test_a_bar_has_its_place_and_is_seen_if_it_took_any_time(
    begin: float, length: float, columns: int, *, plain: bool
) -> None:
    bar = Paint(unicode=not plain).bar(begin, length, columns)

    assert len(bar) <= columns
    assert bool(bar.strip()) == (length > 0)
    assert not plain or bar.isascii()
