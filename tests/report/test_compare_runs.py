"""What a comparison of two runs finds, and what it takes for noise."""

import copy
from typing import Any

import pytest
import run_records

from stepkit.report import comparison_text
from stepkit.report.compare_runs import compare, without_baseline
from stepkit.report.run_json import RunJson
from stepkit.report.run_json_comparison import ComparisonJson


def run_of(*milliseconds: int | None, **values: Any) -> RunJson:
    """Return a run whose cells took these times."""
    cells = [
        run_records.cell(number, duration_ms=length)
        for number, length in enumerate(milliseconds, start=1)
    ]
    return run_records.run(notebooks=[run_records.notebook(cells=cells)], **values)


def checked(comparison: ComparisonJson) -> ComparisonJson:
    """Return the comparison, which the published schema of run.json must admit."""
    run_records.validate(run_records.run(comparison=comparison))
    return comparison


def changes(comparison: ComparisonJson) -> list[tuple[str, str]]:
    return [(row.what, row.change) for row in comparison_text.rows(checked(comparison))]


def test_a_run_does_not_differ_from_itself() -> None:
    run = run_records.run()

    found = compare(run, copy.deepcopy(run))

    assert changes(found) == []
    assert found["message"] == (
        "against run-20261130-101500 (97959ef3c1a9): no difference beyond noise"
    )


def test_a_flaky_run_is_not_slower_by_its_earlier_attempts_but_its_cells_are_compared() -> None:
    before, now = run_of(10_000, duration_ms=12_000), run_records.flaky()
    now["notebooks"][0].update({"cells": run_of(14_000)["notebooks"][0]["cells"]})
    now["duration_ms"] = now["notebooks"][0]["duration_ms"] = 200_000

    found = compare(now, before)

    assert found["duration"]["change"] == found["notebooks"][0]["duration"]["change"] == "unknown"
    assert [cell["change"] for cell in found["notebooks"][0]["cells"]] == ["slower"]
    assert "flaky, the baseline passed" in checked(found)["message"]


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [
        (10_000, 12_001, "slower"),
        (10_000, 12_000, None),  # within the ratio
        (1_000, 1_999, None),  # twice the time, but less than a second
        (12_001, 10_000, "faster"),
        (0, 1_001, "slower"),
    ],
)
def test_a_cell_is_slower_beyond_the_ratio_and_by_a_second(
    before: int, now: int, change: str | None
) -> None:
    found = compare(run_of(now), run_of(before))

    (notebook,) = checked(found)["notebooks"]
    assert [cell["change"] for cell in notebook["cells"]] == ([change] if change else [])
    assert notebook["cells_same"] == (0 if change else 1)


def test_a_cell_that_fails_in_both_runs_is_neither_faster_nor_slower() -> None:
    before, now = run_of(10_000), run_of(1_000)
    for run in (before, now):
        run["notebooks"][0]["cells"][0]["status"] = "error"

    assert compare(now, before)["notebooks"][0]["cells"] == []


def test_a_few_megabytes_are_noise() -> None:
    before, now = run_of(1_000), run_of(1_000)
    before["notebooks"][0]["rss_peak"] = 100 << 20
    now["notebooks"][0]["rss_peak"] = 164 << 20

    assert changes(compare(now, before)) == []


def test_five_earlier_runs_say_what_noise_is() -> None:
    noisy = [run_of(time) for time in (10_000, 14_000, 6_000, 13_000, 8_000)]
    steady = [run_of(time) for time in (10_000, 10_010, 9_990, 10_005, 10_000)]

    # The median is 10 s, the median deviation 3 s: 3 * 1.4826 of it allow 13.3 s more.
    within = compare(run_of(23_000), noisy[0], noisy[1:])
    beyond = compare(run_of(23_500), noisy[0], noisy[1:])
    of_steady = compare(run_of(11_100), steady[0], steady[1:])

    assert within["notebooks"][0]["cells"] == []
    assert [c["change"] for c in beyond["notebooks"][0]["cells"]] == ["slower"]
    assert beyond["notebooks"][0]["cells"][0]["duration"]["limit"] == 23_343
    assert [c["change"] for c in of_steady["notebooks"][0]["cells"]] == ["slower"]
    assert (within["runs"], of_steady["runs"]) == (5, 5)


def test_runs_that_failed_or_had_another_gpu_set_no_limit() -> None:
    other = run_of(10_000)
    other["environment"]["gpus"] = [{"name": "NVIDIA A100"}]

    found = compare(run_of(10_000), run_of(10_000), [other, run_records.failed(), run_of(9_000)])

    assert found["runs"] == 2


def test_a_cell_matches_by_its_id_where_it_was_moved() -> None:
    before, now = run_of(9_000, 1_000), run_of(1_000, 9_000)
    first, second = now["notebooks"][0]["cells"]
    first["id"], second["id"] = second["id"], first["id"]

    assert changes(compare(now, before)) == []


def test_a_cell_with_a_new_id_matches_by_number_and_title() -> None:
    before, now = run_of(1_000, 5_000), run_of(1_000, 9_000)
    for cell in now["notebooks"][0]["cells"]:
        cell["id"] += "-again"

    (row,) = compare(now, before)["notebooks"][0]["cells"]
    assert (row["change"], row["number"], row["cell"]) == ("slower", 2, 1)


def test_new_gone_and_failed_cells_are_listed() -> None:
    before, now = run_of(1_000, 1_000), run_of(1_000, None)
    now["notebooks"][0]["cells"][0].update({"id": "x", "title": "new line"})
    now["notebooks"][0]["cells"][1]["status"] = "error"

    (notebook,) = checked(compare(now, before))["notebooks"]

    assert [(c["cell"], c["change"], c["before"], c["now"]) for c in notebook["cells"]] == [
        (0, "new", None, "ok"),
        (1, "status", "ok", "error"),
        (None, "gone", "ok", None),
    ]


def test_the_time_of_a_notebook_that_failed_is_not_compared() -> None:
    found = checked(compare(run_records.failed(), run_records.run()))

    assert found["notebooks"][0]["duration"]["change"] == "unknown"
    assert found["duration"]["change"] == "unknown"
    assert found["message"].startswith(
        "against run-20261130-101500 (97959ef3c1a9): failed, the baseline passed"
    )


def test_times_on_another_gpu_are_not_compared() -> None:
    before, now = run_of(1_000), run_of(60_000)
    before["environment"]["gpus"] = []
    now["notebooks"][0]["gpu_peak"] = 70 * run_records.GIB
    now["notebooks"][0]["rss_peak"] = 30 * run_records.GIB

    found = checked(compare(now, before))

    assert found["notes"] == [
        "times and GPU memory are not compared: no GPU in the baseline, NVIDIA H100 80GB HBM3 now"
    ]
    (notebook,) = found["notebooks"]
    assert notebook["duration"]["change"] == notebook["gpu_peak"]["change"] == "unknown"
    assert notebook["rss_peak"]["change"] == "worse"
    assert ("GPU", "version") in changes(found)


def test_peaks_versions_tests_files_and_rules_are_compared() -> None:
    before, now = run_records.run(), run_records.failed_tests()
    kernel = now["notebooks"][0]["kernel"]
    assert kernel
    kernel["packages"].update({"numpy": "2.3.0", "torch": "2.9"})
    del kernel["packages"]["scanpy"]
    now["notebooks"][0]["gpu_peak"] = 40 * run_records.GIB
    now["notebooks"][0]["changes"] = run_records.tolerated()["notebooks"][0]["changes"]
    now["artifacts"] = [
        *(
            run_records.artifact(a["path"], role=a["role"], sha256="0")
            for a in run_records.ARTIFACTS[1:]
        ),
        run_records.artifact("umap.h5ad", 100, "data"),
    ]
    before["tests"][0]["failures"] = [
        run_records.case(name, status="failed") for name in ("test_old", "test_gpu", "test_umap")
    ]

    assert changes(compare(now, before)) == [
        ("scrna_preprocessing, peak of GPU memory", "more memory"),
        ("scrna_preprocessing, rule paths: replaced 1 text", "rule"),
        ("scrna_preprocessing, rule downloads: left out the cell", "rule"),
        ("test tests/test_page.py::test_leiden", "newly failing"),
        ("test tests/test_page.py::test_old", "newly passing"),
        ("test tests/test_page.py::test_gpu", "skipped"),
        ("numpy (scrna_preprocessing)", "version"),
        ("torch (scrna_preprocessing)", "version"),
        ("scanpy (scrna_preprocessing)", "version"),
        ("umap.h5ad", "file"),
        ("output_analysis.html", "file"),
    ]
    assert compare(now, before)["message"].endswith(
        "more memory: scrna_preprocessing, peak of GPU memory; "
        "newly failing: test tests/test_page.py::test_leiden; "
        "newly passing: test tests/test_page.py::test_old; versions changed: 3; files changed: 2"
    )


def test_tests_that_never_ran_are_not_newly_passing() -> None:
    before = run_records.failed_tests()

    found = checked(compare(run_records.failed(), before))

    assert found["tests"]["newly_passing"] == []
    assert (found["tests"]["total_before"], found["tests"]["total_now"]) == (19, None)


def test_notebooks_of_one_name_match_by_their_paths() -> None:
    def run(**peaks: int) -> RunJson:
        notebooks = [
            run_records.notebook(in_repository=f"{folder}/intro.ipynb", rss_peak=peak << 20)
            for folder, peak in peaks.items()
        ]
        return run_records.run(notebooks=notebooks)

    found = compare(run(b=900, a=100, new=500), run(a=100, b=900))

    assert [each["before"] for each in checked(found)["notebooks"]] == ["passed", "passed", None]
    assert [each["rss_peak"]["before"] for each in found["notebooks"][:2]] == [900 << 20, 100 << 20]


def test_a_notebook_that_was_moved_is_still_the_same() -> None:
    now, before = (
        [run_records.notebook(in_repository=path)] for path in ("new/x.ipynb", "old/x.ipynb")
    )

    found = compare(run_records.run(notebooks=now), run_records.run(notebooks=before))

    assert [each["before"] for each in checked(found)["notebooks"]] == ["passed"]


def test_notebooks_match_by_name_and_variant() -> None:
    before, now = run_records.matrix(), run_records.matrix()
    del before["notebooks"][1]
    now["notebooks"][0]["name"] = "renamed"

    found = checked(compare(now, before))

    assert [(n["name"], n["variant"], n["before"], n["now"]) for n in found["notebooks"][:2]] == [
        ("renamed", "full", None, "passed"),
        ("quality", "lite", "passed", "passed"),
    ]


def test_a_record_that_was_shortened_is_noted() -> None:
    cut = run_records.run(left_out={"artifacts": 3, "evidence": 1})

    assert checked(compare(run_records.run(), cut))["notes"] == [
        "what was left out of a large record counts as new or gone: artifacts, evidence"
    ]


def test_runs_without_a_notebook_in_common_say_so() -> None:
    other = run_records.run()
    other["notebooks"][0]["name"] = "other"

    comparison = checked(compare(run_records.run(), other))

    assert comparison["notes"] == ["the two runs have no notebook in common"]
    assert [notebook["name"] for notebook in comparison["notebooks"]] == [
        "scrna_preprocessing",
        "other",
    ]
    assert comparison_text.rows(comparison) == []


def test_the_commits_of_both_runs_are_shown_where_they_differ() -> None:
    later = run_records.run()
    later["repositories"][0]["commit"] = run_records.TESTS_COMMIT

    comparison = checked(compare(later, run_records.run()))

    (row,) = comparison_text.rows(comparison)
    assert (row.what, row.before, row.now) == ("commit", "97959ef3c1a9", "4411aee1b2c3")


def test_files_that_differ_in_each_run_are_no_difference() -> None:
    names = ["manifest.json", "SHA256SUMS", "lite/run.json", "a.progress.json", "data.csv"]
    before = run_records.run(artifacts=[run_records.artifact(name) for name in names])
    now = run_records.run(artifacts=[run_records.artifact(n, sha256="other") for n in names])

    comparison = checked(compare(now, before))

    assert [change["path"] for change in comparison["artifacts"]] == names
    assert [row.what for row in comparison_text.rows(comparison)] == ["data.csv"]


@pytest.mark.parametrize("name", run_records.RUNS)
def test_any_run_compares_with_any_other(name: str) -> None:
    run = run_records.RUNS[name]()

    for other in (run_records.run(), run_records.empty(), run_records.batch()):
        comparison_text.table(comparison_text.rows(checked(compare(run, other))))
        comparison_text.table(comparison_text.rows(checked(compare(other, run))))


def test_a_baseline_that_could_not_be_read_is_a_comparison_that_says_so() -> None:
    found = checked(without_baseline("there is no run at old/run.json"))

    assert found["message"] == "not compared: there is no run at old/run.json"
    assert comparison_text.rows(found) == []


def test_short_times_are_milliseconds_and_large_ratios_whole_numbers() -> None:
    (row, *_) = (
        row
        for row in comparison_text.rows(compare(run_of(3_012), run_of(12)))
        if row.what.startswith("scrna_preprocessing, cell")
    )

    assert (row.before, row.now) == ("12 ms", "3.0 s (251x)")


def test_a_regression_is_more_than_the_ratio_that_is_allowed() -> None:
    before, now = run_of(10_000, 10_000), run_of(14_000, 16_000)
    now["notebooks"][0]["gpu_peak"] = 6 * run_records.GIB
    found = compare(now, before)

    def regressions(**allowed: float | None) -> list[str]:
        return comparison_text.regressions(found, **{"slower": None, "memory": None, **allowed})

    cell = "cell 2 (rsc.pp.calculate_qc_metrics(adata, qc_vars=['MT', 'RIBO']))"
    times = "16.0 s, 1.60 times the 10.0 s of the baseline (1.5 is allowed)"
    peaks = "6.0 GiB, 1.50 times the 4.0 GiB of the baseline (1.4 is allowed)"
    assert regressions(slower=1.5) == [f"scrna_preprocessing, {cell}: {times}"]
    assert regressions(memory=1.4) == [f"scrna_preprocessing, GPU memory: {peaks}"]
    assert regressions(slower=1.6, memory=1.5) == []
