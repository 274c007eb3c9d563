"""report.html, read as a document: what it says, where it links to, and what it leaves out."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import run_records
from bs4 import BeautifulSoup, Tag
from hypothesis import given, settings
from hypothesis import strategies as st

from stepkit.report.compare_runs import compare
from stepkit.report.page import report_page
from stepkit.report.run_json import RunJson


def read(run: RunJson, timeline: dict[str, Any] | None = None, **options: Any) -> BeautifulSoup:
    """Return the parsed page of ``run``."""
    text = report_page.render(run, lambda _: timeline, **options)
    return BeautifulSoup(text, "html.parser")


def section(page: BeautifulSoup, name: str) -> Tag:
    found = page.select_one(f"section#{name}")
    assert found is not None, f"no section {name}"
    return found


def head_of(run: RunJson) -> Tag:
    found = read(run).select_one(".head")
    assert found is not None
    return found


def words(tag: Tag | BeautifulSoup) -> str:
    return " ".join(tag.get_text(" ").split())


def test_a_run_that_passed_says_so_with_its_figures() -> None:
    page = read(run_records.run())

    head = words(head_of(run_records.run()))
    assert "✓ Passed notebooks/scrna_preprocessing.ipynb" in head
    for fact in (
        "Duration 23.0 s",
        "Cells 14 of 14",
        "Tests 19 of 19",
        "covering 96.5 % of their repository",
        "97959ef",
    ):
        assert fact in head
    assert page.select_one("#why") is None
    assert page.title
    assert page.title.get_text() == "✓ passed: notebooks/scrna_preprocessing.ipynb"


def test_a_failure_is_shown_with_its_line_its_traceback_and_a_remedy() -> None:
    page = read(run_records.failed())

    why = section(page, "why")
    assert words(why.select_one(".line.failed") or why) == '→ 7 scores(adata, "pca")'
    assert "KeyError: 'pca'" in words(why)
    assert "return summary(adata.obsm[key])" in words(why)
    assert why.select("pre .ansi-red-fg"), "the colours of the traceback are kept"
    assert "What to try" in words(why)
    assert words(page.select_one(".cause") or page).endswith("cell 12 of 14 raised KeyError: 'pca'")


def test_the_cause_links_to_the_cell_on_the_page_and_cells_have_anchors() -> None:
    page = read(run_records.failed())

    links = {a["href"] for a in page.select(".head a, #why a")}
    assert "output_analysis.html#cell-12" in links
    row = page.select_one("tr#c12")
    assert row is not None
    assert row.select_one("a[href='output_analysis.html#cell-12']")
    assert page.select_one("#timeline a[href='#c12']")


def test_a_file_that_is_not_among_the_artifacts_is_no_link() -> None:
    record = run_records.failed()
    record["artifacts"] = [
        run_records.artifact("../secret.txt"),
        run_records.artifact("/etc/passwd"),
        run_records.artifact("javascript:alert(1)"),
    ]

    page = read(record)

    targets = {str(a["href"]) for a in page.select("main a[href]") if a["href"][0] != "#"}
    assert targets == {
        "javascript%3Aalert%281%29",
        f"https://github.com/example/notebooks/commit/{run_records.COMMIT}",
        "https://github.com/example/notebooks",
        "https://datasets.example.com/krasnow_hlca_10x.h5ad",
    }


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "https://u:p@h/", "//h"]
)
def test_an_address_that_is_not_one_of_the_web_is_no_link(url: str) -> None:
    record = run_records.run()
    record["identity"]["url"] = record["repositories"][0]["url"] = url

    page = read(record)

    assert url in words(section(page, "environment"))
    assert not [a for a in page.select("a") if url in str(a["href"])]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://github.com/a/b.git", "https://github.com/a/b/commit/"),
        ("git@github.com:a/b.git", "https://github.com/a/b/commit/"),
        ("https://gitlab.example.org/a/b/c", "https://gitlab.example.org/a/b/c/-/commit/"),
        ("https://git.example.org/a/b", None),
        ("http://127.0.0.1:8080/notebooks", None),
    ],
)
def test_a_commit_links_to_a_forge_that_is_known(url: str, expected: str | None) -> None:
    record = run_records.run()
    record["repositories"][0]["url"] = url

    link = read(record).select_one(".facts a:has(code)")

    assert (link and link["href"]) == (expected and expected + run_records.COMMIT)


def test_the_record_is_embedded_and_reads_back() -> None:
    record = run_records.failed()
    record["title"] = "</script><script>alert(1)</script>"

    data = read(record).select_one("script#run[type='application/json']")

    assert data is not None
    assert json.loads(data.get_text()) == record


@pytest.mark.parametrize("name", sorted({*run_records.RUNS} - {"500_cells", "8_gpus", "matrix"}))
def test_text_of_others_stays_text_in_each_field(name: str) -> None:
    record = run_records.hostile(run_records.RUNS[name]())

    for _, text in report_page.pages(record, lambda _: run_records.timeline(), "report.html"):
        page = BeautifulSoup(text, "html.parser")
        assert not page.select("img, iframe, [onerror], [onclick], [style]")
        assert len(page.select("script")) <= 2
        assert "49" not in words(page.select_one("h1") or page)
        assert not re.search("[\x00-\x08\x0e-\x1f\ud800-\udfff]", text)


@pytest.mark.parametrize("name", sorted({*run_records.RUNS} - {"500_cells"}))
def test_every_link_leads_to_something(name: str) -> None:
    record = run_records.RUNS[name]()
    texts = dict(report_page.pages(record, lambda _: None, "report.html"))
    files = {*texts, *(artifact["path"] for artifact in record["artifacts"])}

    for text in texts.values():
        page = BeautifulSoup(text, "html.parser")
        ids = {str(tag["id"]) for tag in page.select("[id]")}
        for link in page.select("a[href]"):
            file, _, anchor = str(link["href"]).partition("#")
            assert file in files or file.startswith("https://") or (not file and anchor in ids)
        assert len(ids) == len(page.select("[id]")), "each id is there once"


def test_the_policy_admits_the_page_s_own_script_and_style_alone() -> None:
    page = read(run_records.run())

    policy = page.select_one("meta[http-equiv=Content-Security-Policy]")
    assert policy is not None
    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-\S+'; script-src 'sha256-\S+'; "
        r"img-src data:; base-uri 'none'; form-action 'none'",
        str(policy["content"]),
    )
    script = page.select_one("script:not([type])")
    assert script is not None
    assert len(script.get_text()) <= 2000


def test_code_in_a_message_is_shown_as_code_and_a_lone_backtick_stays() -> None:
    record = run_records.failed()
    assert record["cause"]
    record["cause"]["message"] = "cell 12 (`<b>x</b>`) raised"
    record["steps"][0]["message"] = "a ` alone"

    page = read(record)

    assert [tag.get_text() for tag in page.select(".cause code")] == ["<b>x</b>"]
    assert "a ` alone" in words(section(page, "steps"))


def test_what_a_step_says_is_on_top_of_a_run_that_passed() -> None:
    passed, failed = run_records.run(), run_records.failed()
    for record in (passed, failed):
        for step in (record["steps"][0], record["steps"][4]):
            step.update({"headline": True, "message": f"{step['name']} did it"})

    head = words(head_of(passed))

    assert "prepare-workspace did it" in head
    assert "execute-notebook did it" not in head, "its cells are among the facts"
    assert "did it" not in words(head_of(failed))


def test_steps_that_are_not_asked_for_are_shown_as_that() -> None:
    run = run_records.run()
    run["steps"].append({**run_records.not_run_step("run-tests"), "status": "not-asked-for"})

    page = read(run)

    assert "run-tests not asked for" in words(section(page, "steps"))
    assert "left no report" not in words(page)


def test_steps_that_did_not_run_are_named() -> None:
    page = read(run_records.incomplete())

    assert "convert-notebook not run" in words(section(page, "steps"))
    assert "These steps left no report: convert-notebook, run-tests" in words(page)


def test_a_run_that_left_nothing_has_a_page() -> None:
    page = read(run_records.empty())

    assert "… Incomplete" in words(page)
    assert "GPU not checked" in words(page)
    assert page.select_one("#cells") is None


def test_a_notebook_that_was_sampled_and_saw_no_gpu_had_none() -> None:
    assert "GPU no GPU" in words(head_of(run_records.no_gpu()))


def test_a_checkout_that_failed_is_named_and_no_other_commit_stands_for_it() -> None:
    facts = words(head_of(run_records.not_checked_out()))

    assert "Commit of notebooks not checked out nosuch" in facts
    assert "Commit of tests 4411aee main" in facts
    assert facts.count("4411aee") == 1


def test_rules_and_tolerated_errors_are_listed() -> None:
    page = read(run_records.tolerated())

    changed = words(section(page, "changed"))
    assert "rules.yaml: known failure of regress_out" in changed
    assert "old no cell matches ○ not applied" in changed
    assert "The rules are those of ci/rules.yaml in https://" in changed
    assert " at 97959ef" in changed
    assert section(page, "changed").select(".minus")[0].get_text() == "--- cell 1\n"


def test_rules_that_changed_nothing_are_named_too() -> None:
    run = run_records.tolerated()
    for one in run["notebooks"]:
        one.update({"changes": [], "tolerated": 0, "diff_text": "", "cells": []})
        one["rules"] = {"path": "/r.yaml", "repository": None, "in_repository": "/r.yaml"}

    changed = words(section(read(run), "changed"))

    assert "The rules are those of /r.yaml , which is in no repository of this run." in changed


def test_failed_tests_are_open_and_allowed_ones_are_not() -> None:
    failed = section(read(run_records.failed_tests()), "tests")
    allowed = section(read(run_records.tolerated()), "tests")

    assert "assert 11 == 12" in words(failed.select_one("details[open] pre") or failed)
    assert "16 of 19 passed, 1 failed, 1 had an error, 1 skipped" in words(failed)
    assert allowed.select("details")
    assert not allowed.select("details[open]")
    assert "18 of 19 passed, 1 failed. 1 failure is allowed." in words(allowed)
    assert "allowed to fail tests/test_page.py::test_plot : issue 41" in words(allowed)


def test_what_differs_from_the_baseline_is_listed() -> None:
    before, now = run_records.run(), run_records.run()
    cell = now["notebooks"][0]["cells"][7]
    cell["duration_ms"] = 60_000
    assert now["notebooks"][0]["kernel"]
    now["notebooks"][0]["kernel"]["packages"]["scanpy"] = "1.12.0"
    now["comparison"] = compare(now, before)

    rows = [words(row) for row in section(read(now), "comparison").select("tbody tr")]

    assert any("cell 8" in row and row.endswith("slower") for row in rows), rows
    assert "scanpy (scrna_preprocessing) 1.11.4 1.12.0 version" in rows
    assert read(before).select_one("#comparison") is None


def test_what_failed_beside_the_notebook_does_not_link_to_it() -> None:
    page = read(run_records.failed_tests())

    assert not page.select(".cause a")
    links = [str(link["href"]) for link in section(page, "why").select(".links a")]
    assert links == ["#tests", "pytest_report.html", "pytest_output.log"]
    assert "notebooks/scrna_preprocessing.ipynb" not in words(section(page, "why"))


def test_several_notebooks_have_a_table_and_a_page_each() -> None:
    found = dict(report_page.pages(run_records.batch(), lambda _: None, "report_x.html"))

    names = ["quality", "normalise", "cluster", "umap", "markers", "export"]
    assert list(found) == ["report_x.html", *(f"report_x-{name}.html" for name in names)]
    rows = BeautifulSoup(found["report_x.html"], "html.parser").select("#notebook-table tbody tr")
    assert words(rows[0]).startswith("cluster cell 5 of 10 raised KeyError: 'pca' ✕ failed")
    part = BeautifulSoup(found["report_x-cluster.html"], "html.parser")
    assert part.select_one(".over a[href='report_x.html']")
    assert "✕ Failed cluster" in words(part)
    assert part.select_one("#why .line.failed")
    passed = BeautifulSoup(found["report_x-umap.html"], "html.parser")
    assert "✓ Passed umap" in words(passed)
    assert passed.select_one("#why") is None


def test_a_matrix_is_a_grid_of_notebooks_and_variants() -> None:
    grid = section(read(run_records.matrix()), "notebooks").select_one(".grid-table")

    assert grid is not None
    assert [words(head) for head in grid.select("thead th")] == ["Notebook", "full", "lite"]
    assert words(grid.select("tbody tr")[1]).startswith("cluster ✕ failed")


def test_notebooks_of_one_name_have_different_pages() -> None:
    same = [run_records.notebook(name=name) for name in ("a/b", "a b", "A-b", "..", "../..")]

    found = [
        name
        for name, _ in report_page.pages(run_records.run(notebooks=same), lambda _: None, "r.html")
    ]

    assert found == [
        "r.html",
        "r-a-b.html",
        "r-a-b-2.html",
        "r-A-b-3.html",
        "r-notebook.html",
        "r-notebook-2.html",
    ]


def test_a_timeline_that_cannot_be_read_is_named() -> None:
    assert "output_analysis.timeline.json.gz , cannot be read" in words(
        section(read(run_records.run()), "timeline")
    )


def test_pages_are_written_beside_the_record(tmp_path: Path) -> None:
    report_page.write(run_records.matrix(), tmp_path / "report.html", tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir())[:2] == [
        "report-cluster_full.html",
        "report-cluster_lite.html",
    ]
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_idle_time_and_energy_are_shown_where_they_were_measured() -> None:
    two = run_records.run(notebooks=[run_records.notebook(), run_records.notebook(name="b")])
    measured, several, without = (
        report_page.render(record, lambda _: None)
        for record in (run_records.run(), two, run_records.no_gpu())
    )

    assert "<small>0.029 GPU-hours, GPU idle 38 %, 21.4 kJ</small>" in measured
    assert '>GPU idle</th><th scope="col" class="number">Energy, J</th>' in measured
    assert '>GPU-hours</th><th scope="col" class="number">GPU idle</th>' in several
    assert not [words for words in ("GPU idle", "GPU-hours", "Energy, J") if words in without]


def test_200_cells_and_two_gpus_stay_below_320_kilobytes() -> None:
    record = run_records.run(
        notebooks=[run_records.notebook(cells=run_records.cells(200), gpu=run_records.gpu(2))]
    )

    text = report_page.render(record, lambda _: run_records.timeline(2, 16_384, 3_300))

    assert len(text.encode()) < 320_000


def test_a_page_too_large_shows_less_and_says_so() -> None:
    found = run_records.cells(2000)
    for cell in found:
        cell["error"] = run_records.error(evalue="x" * 900)
    found[1900]["status"] = "error"
    record = run_records.run(notebooks=[run_records.notebook(cells=found)])

    text = report_page.render(record, lambda _: run_records.timeline(8))

    assert len(text.encode()) <= report_page.MOST_BYTES
    page = BeautifulSoup(text, "html.parser")
    assert re.search(r"shortened; left out: .*\d+ cells", words(page.select_one("footer") or page))
    assert page.select_one("tr#c1901"), "the cell that failed is shown"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=4,
)
devices = st.lists(
    st.dictionaries(st.sampled_from(sorted(run_records.device())), json_values, max_size=4),
    max_size=2,
)


@settings(max_examples=25)
@given(st.fixed_dictionaries({"devices": devices | json_values}), json_values)
def test_what_a_gpu_s_figures_hold_never_stops_the_page(gpu: Any, peak: Any) -> None:
    record = run_records.run(
        notebooks=[run_records.notebook(cells=[], gpu=gpu, guard={"peak": peak})]
    )

    assert "<h1>" in report_page.render(record, lambda _: run_records.timeline(1, 5))


def test_the_slowest_cells_are_listed_by_time_without_those_below_one_percent() -> None:
    record = run_records.run()
    for number, length in enumerate([5, 300, 700, *[4] * 11]):
        record["notebooks"][0]["cells"][number]["duration_ms"] = length

    page = read(record)

    rows = page.select("#slow tbody tr")
    assert [words(row).split()[0] for row in rows] == ["3", "2"]
    assert [row.select("td")[3].get_text() for row in rows] == ["0.7 s", "0.3 s"]
    fact = page.select_one(".facts a[href='#c3']")
    assert fact is not None
    assert words(fact.find_parent("div") or fact) == "Slowest cell 3 , 0.7 s 67 % of all cells"


def test_many_short_cells_have_ten_slowest() -> None:
    assert len(read(run_records.of_cells(200)).select("#slow tbody tr")) == 10


def test_the_first_twelve_packages_are_shown_and_the_others_folded() -> None:
    record = run_records.run()
    kernel = record["notebooks"][0]["kernel"]
    assert kernel is not None
    kernel["packages"] = {f"package-{n}": "1.0" for n in range(48)}

    environment = section(read(record), "environment")

    assert words(environment.select_one("summary") or environment) == "36 more packages"
    assert len(environment.select("details dt")) == 36
    assert environment.select("details dt")[0].get_text() == "package-12"


def test_a_command_has_a_line_for_each_option_and_a_shell_reads_it_back() -> None:
    record = run_records.run()
    again = [
        "stepkit",
        "run-tests",
        "--inputs",
        "a page --x.html",
        "b.html",
        "--marker",
        "not slow",
    ]
    record["steps"][4]["again"] = again

    shown = section(read(record), "again").select_one("details[open] pre")

    assert shown is not None
    assert shown.get_text().count("\n") == 2
    read_back = subprocess.run(
        ["sh", "-c", f"printf '%s\n' {shown.get_text()}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert read_back.stdout.splitlines() == again


def test_the_place_of_a_failure_is_the_notebook_in_its_repository() -> None:
    record = run_records.failed()
    record["notebooks"][0].update(
        {"path": "run-1/source/notebooks/one.ipynb", "in_repository": "notebooks/one.ipynb"}
    )

    assert "Cell 12 of notebooks/one.ipynb , reason" in words(section(read(record), "why"))


def test_an_output_that_is_not_the_golden_one_is_shown_beside_it() -> None:
    image = "data:image/png;base64,iVBORw0KGgo="
    golden = run_records.golden(
        {}, {"cell": 4, "output": "image/png", "images": [image, image]}, within=3, largest=0.012
    )

    page = section(read(run_records.run(notebooks=[run_records.notebook(golden=golden)])), "golden")

    assert "13 cells were compared with golden/a.ipynb : 2 outputs differ." in words(page)
    assert "3 values differ within the limits, numbers by 1.2 % at most." in words(page)
    assert "Cell 2 , text/html df.head() : column n, row 1: 3 is not 2 Golden 2 New 3" in words(
        page
    )
    assert [tag["alt"] for tag in page.select("img")] == [
        "Golden: image/png of cell 4",
        "New: image/png of cell 4",
    ]


def test_a_page_that_would_be_too_large_leaves_the_images_out_and_says_so() -> None:
    image = "data:image/png;base64," + "A" * 90_000
    golden = run_records.golden(*({"images": [image] * 3} for _ in range(5)))

    page = read(run_records.run(notebooks=[run_records.notebook(golden=golden)]))

    assert page.select("section#golden img") == []
    assert "left out: 15 images" in words(page)
