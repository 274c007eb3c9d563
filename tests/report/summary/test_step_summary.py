"""STEP_SUMMARY.md of whole runs, as raw text and as a page."""

import copy
import re
from typing import Any, cast

import pytest
import run_records
from rendered_markdown import Rendered
from run_records import COMMIT

from stepkit.report.compare_runs import compare, without_baseline
from stepkit.report.run_json import RunJson
from stepkit.report.summary import step_summary
from stepkit.report.summary.file_links import published_directory

HOSTILE = "a\n\n<script>x</script> | [l](http://x) @all ``` # `\n</details>\n- x\n"
ADDRESS = "https://pages.example.com/runs/7"


def first_screen(record: RunJson, **options: Any) -> list[str]:
    """Return the paragraphs above the first section."""
    return step_summary.render(record, **options).partition("\n## ")[0].strip().split("\n\n")


@pytest.mark.parametrize("name", run_records.RUNS)
def test_every_run_has_a_whole_and_harmless_page(name: str) -> None:
    record = run_records.RUNS[name]()

    text = step_summary.render(record, report="report.html")

    assert text.startswith(f"# {'all notebooks' if record['title'] == 'all notebooks' else '`'}")
    assert text.count("<details>") == text.count("</details>")
    assert "\n\n\n" not in re.sub(r"```text\n.*?```", "code", text, flags=re.DOTALL)
    assert not Rendered(text).foreign


def test_the_first_screen_says_what_one_wants_of_a_run_that_passed() -> None:
    record = run_records.run(duration_ms=72_400)
    record["steps"][4]["headline"] = record["steps"][6]["headline"] = True

    title, outcome, facts, files = first_screen(record, report="report.html")

    assert title == "# `notebooks/scrna_preprocessing.ipynb`: passed"
    assert outcome == "execute-notebook: 14 of 14 cells ran; run-tests: 19 of 19 tests passed"
    assert facts == (
        f"Took 1m12s · notebooks at [`97959ef3c1a9`](https://github.com/example/notebooks/commit/"
        f"{COMMIT}) (main) · NVIDIA H100 80GB HBM3 · 0.029 GPU-hours · GPU idle 38 % · 21.4 kJ · "
        "started 2026-11-30 10:15 UTC"
    )
    assert files == (
        "Open: [**notebook as a page**](output_analysis.html), "
        "[executed notebook](output_analysis.ipynb), [report with timeline](report.html)"
    )


def test_the_first_screen_of_a_failure_says_why() -> None:
    record = run_records.failed()

    _, outcome, _, files = first_screen(record)

    assert outcome == (
        "**execute-notebook failed** (cell-error, exit code 3): "
        "cell 12 of 14 raised KeyError: 'pca'"
    )
    assert files.startswith("Open: [**notebook as a page**](output_analysis.html#first-error), ")
    assert files.endswith("[its log](papermill.log)")


@pytest.mark.parametrize(
    ("name", "gpus"), [("no_gpu", "no GPU"), ("8_gpus", "8 x NVIDIA H100 80GB HBM3")]
)
def test_the_gpus_are_counted_by_their_name(name: str, gpus: str) -> None:
    assert f" · {gpus} · " in first_screen(run_records.RUNS[name]())[2]


def test_a_checkout_that_failed_is_named() -> None:
    facts = first_screen(run_records.not_checked_out())[2]

    assert "notebooks not checked out · tests at [`4411aee1b2c3`]" in facts


def test_where_nothing_was_measured_no_gpu_is_claimed_to_be_missing() -> None:
    record = run_records.no_gpu()
    record["notebooks"][0]["gpu"] = None

    assert "GPU" not in first_screen(record)[2]


def test_a_failure_is_shown_with_its_line_its_traceback_and_what_to_try() -> None:
    text = step_summary.render(run_records.failed())

    why = text.partition("## Why\n\n")[2].partition("\n## ")[0]
    assert why.startswith(
        "[Cell 12](output_analysis.html#cell-12) (`rsc.tl.leiden(adata, resolution=0.6)`) "
        "raised **KeyError: 'pca'**\n\n```text\n   3\n"
    )
    assert '\n-> 7  scores(adata, "pca")\n```\n' in why
    traceback = why.partition("<details><summary>Traceback (12 lines)</summary>")[2]
    assert "----> 2     return summary(adata.obsm[key])\n\nKeyError: 'pca'\n```\n" in traceback
    assert "\x1b" not in text
    assert "`cell-error`: A cell of the notebook raised an exception" in why
    assert "What to try:\n\n- read the traceback" in why
    assert text.count("----> 2 ") == 1  # the notebook's section does not repeat it


def test_a_killed_kernel_has_its_last_output_and_its_stack() -> None:
    text = step_summary.render(run_records.killed_kernel())

    assert "(`rsc.tl.leiden(adata, resolution=0.6)`) was running when the execution ended\n" in text
    assert "<details><summary>Last output</summary>\n\n```text\ncomputing scores" in text
    assert (
        "<details><summary>Where the threads of the kernel were</summary>\n\n```text\nCur" in text
    )
    assert "**GPU warning:** GPU 0: the driver reports XID 79\n" in text


def test_a_failed_test_is_shown_with_its_assertion_without_a_click() -> None:
    text = step_summary.render(run_records.failed_tests())

    why = text.partition("## Why\n\n")[2].partition("<details>")[0]
    assert why.startswith(
        "**AssertionError: assert 11 == 12**\n\n```text\n    def test_leiden(page):"
    )
    assert "\n## Tests: 16 of 19 passed, 1 failed, 1 with an error, 1 skipped, " in text
    assert ", coverage of the tests' repository 96.5 %\n" in text
    assert "\n- `tests/test_page.py::test_leiden`: assert 11 == 12\n" in text
    assert (
        "<summary>1 skipped test</summary>\n\n- `tests/test_page.py::test_gpu`: needs two" in text
    )


def test_cells_have_a_link_a_share_and_memory() -> None:
    cells = run_records.cells(2)
    cells[0].update({"duration_ms": 3_000, "rss_peak": 5 << 30, "title": "a | b"})
    cells[1].update({"duration_ms": 1_000, "gpu_peak": 3 << 20})

    text = step_summary.render(run_records.run(notebooks=[run_records.notebook(cells=cells)]))

    head, _, *rows = text.partition("| slowest cells")[2].split("\n\n")[0].splitlines()
    assert head == " | time | share | GPU peak | GPU idle | memory | code |"
    assert rows[0].startswith(
        "| [1](output_analysis.html#cell-1) | 3.0 s | 75 % | 5.6 GiB | 94 % | 5.0 GiB"
    )
    assert rows[0].endswith(r" | `a \| b` |")
    assert rows[1].startswith("| [2](output_analysis.html#cell-2) | 1.0 s | 25 % | 3 MiB | ")


def test_steps_are_folded_when_all_succeeded() -> None:
    assert "<details><summary>8 steps, all succeeded</summary>\n\n| step |" in step_summary.render(
        run_records.run()
    )
    assert "\n## Steps\n\n| step | status | time | what |\n" in step_summary.render(
        run_records.failed()
    )


@pytest.mark.parametrize(
    ("statuses", "shown"),
    [
        (["not-asked-for"], "8 steps, 1 of them not asked for, all others succeeded"),
        (
            ["reused", "reused", "not-asked-for"],
            "8 steps, 2 of them reused, 1 of them not asked for, all others succeeded",
        ),
        (["reused"] * 8, "8 steps, reused"),
        ([*["reused"] * 7, "not-asked-for"], "8 steps, reused and not asked for"),
    ],
)
def test_folded_steps_say_which_of_them_did_not_run(statuses: list[str], shown: str) -> None:
    run = run_records.run()
    for step, status in zip(run["steps"], statuses, strict=False):
        step["status"] = cast("Any", status)

    text = step_summary.render(run)

    assert f"<summary>{shown}</summary>" in text
    assert f"| {statuses[0].replace('-', ' ')} |" in text


def test_the_notebooks_packages_are_named_the_first_ones_at_once() -> None:
    notebook = run_records.notebook()
    assert notebook["kernel"]
    notebook["kernel"]["packages"] = {f"package-{n}": f"{n}.0" for n in range(10)}

    text = step_summary.render(run_records.run(notebooks=[notebook]))

    assert "In the notebook's kernel: packages package-0 0.0, package-1 1.0, " in text
    assert "package-7 7.0 and 2 more; Python 3.12.11; CUDA runtime 13.0; the driver" in text
    folded = "<details><summary>2 more packages</summary>\n\npackage-8 8.0, package-9 9.0\n"
    assert folded in text


def test_files_are_folded_with_the_page_first() -> None:
    text = step_summary.render(run_records.run())

    files = text.partition("<details><summary>9 files, 2.2 MB</summary>")[2]
    names = re.findall(r"^\| \[`([^`]*)`\]", files, re.MULTILINE)
    assert names[:2] == ["output_analysis.html", "output_analysis.ipynb"]
    assert names[-1].endswith(".log")
    assert run_records.SHA256[:12] not in files.partition("</details>")[0]


def test_a_comparison_is_a_table_of_what_differs() -> None:
    before = run_records.run()
    slower = run_records.notebook(cells=run_records.cells(14))
    slower["cells"][2].update({"duration_ms": 90_000, "title": "a | <b>"})
    run = run_records.run(notebooks=[slower])
    run["comparison"] = {**compare(run, before), "regressions": ["cell 3 is slower"]}

    text = step_summary.render(run)

    part = text.partition("\n## Compared with an earlier run\n\n")[2].partition("\n\n<details>")[0]
    message, regression, *table = part.replace("\n\n", "\n").splitlines()
    assert message.startswith("against run-20261130-101500 (97959ef3c1a9): slower: ")
    assert regression == "**Regression:** cell 3 is slower"
    assert table[0] == "| what | before | now | change |"
    row = next(line for line in table if "cell 3" in line)
    assert r"(a \| &lt;b&gt;)" in row
    assert row.endswith("| slower |")
    assert "Compared" not in step_summary.render(before)


def test_a_baseline_that_cannot_be_read_is_named() -> None:
    run = run_records.run(comparison=without_baseline("there is no run.json in <a>"))

    assert (
        "## Compared with an earlier run\n\nnot compared: there is no run.json in &lt;a&gt;\n"
        in (step_summary.render(run))
    )


def test_a_reader_who_cannot_open_files_gets_no_dead_link() -> None:
    record = run_records.failed()

    nowhere = Rendered(step_summary.render(record, files_at=None, report="report.html")).links
    there = Rendered(step_summary.render(record, files_at=ADDRESS, report="report.html")).links
    above = Rendered(step_summary.render(record, files_at="../artifacts")).links

    assert nowhere == {COMMIT[:12]: f"https://github.com/example/notebooks/commit/{COMMIT}"}
    assert there["Cell 12"] == f"{ADDRESS}/output_analysis.html#cell-12"
    assert there["report with timeline"] == f"{ADDRESS}/report.html"
    assert above["Cell 12"] == "../artifacts/output_analysis.html#cell-12"


@pytest.mark.parametrize(
    ("published", "directory"),
    [
        (f"{ADDRESS}/output_analysis.html", ADDRESS),
        (f"{ADDRESS}/papermill.log", ADDRESS),
        (f"{ADDRESS}/index.html", ""),
        ("s3://bucket/runs/7", ""),
        (None, ""),
    ],
)
def test_where_the_artifacts_were_published_follows_from_one_of_them(
    published: str | None, directory: str
) -> None:
    assert published_directory(run_records.run(published=published)) == directory


def test_a_file_outside_of_the_run_is_not_linked() -> None:
    notebook = run_records.notebook(page="/data/a.html", executed="../a.ipynb")

    text = step_summary.render(run_records.run(notebooks=[notebook], artifacts=[]))

    assert "/data/a.html" not in text
    assert not any(url.endswith(".ipynb") for url in Rendered(text).links.values())


def test_notebooks_by_variant_make_a_grid_and_the_failed_one_is_shown_first() -> None:
    text = step_summary.render(run_records.matrix())

    assert "\n| notebook | full | lite |\n" in text
    assert (
        "\n| cluster | [**failed**](cluster_full.html) 4.3 s | [passed](cluster_lite.html) " in text
    )
    assert text.index("\n## cluster (full): ") < text.index("<summary>quality (full): ")
    assert "[Cell 5](cluster_full.html#cell-5) of cluster (full) (" in text


def test_a_batch_is_a_table_with_the_worst_notebook_first() -> None:
    text = step_summary.render(run_records.batch())

    rows = text.partition("## Notebooks: 5 of 6 passed")[2].split("\n## ")[0].splitlines()
    assert rows[2] == "| notebook | status | cells | time | GPU peak | what |"
    assert rows[4].startswith("| [cluster](cluster.html) | **failed** | 5 of 10 | ")
    assert rows[5].startswith("| [quality](quality.html) | passed | 6 of 6 | ")


def test_notebooks_that_left_the_gpu_idle_have_a_column() -> None:
    record = run_records.batch()
    record["notebooks"][1]["gpu_idle"] = 0.71

    rows = step_summary.render(record).partition("## Notebooks: 5 of 6 passed")[2].splitlines()

    assert rows[2] == "| notebook | status | cells | time | GPU peak | GPU idle | what |"
    assert sum(" | 71 % | " in row for row in rows) == 1


def test_a_summary_stays_below_what_github_shows_and_keeps_the_worst() -> None:
    cells = run_records.cells(60)
    cells[0].update({"status": "error", "error": run_records.error(traceback="x" * 20_000)})
    message = "ünïcödé " * 40
    names = [f"notebook-{n}" for n in range(900)]
    notebooks = [
        run_records.notebook(name=name, cells=cells, status="failed", message=message)
        for name in names
    ]
    notebooks[400]["status"] = "passed"
    steps = [run_records.step(name, status="failed", message=message) for name in names]
    record = run_records.run(notebooks=notebooks, steps=steps, verdict="failed", headline="failed")

    text = step_summary.render(record)

    assert 500_000 < len(text.encode()) < 1 << 20
    assert text.startswith("# `notebooks/scrna_preprocessing.ipynb`: failed\n")
    assert "\n## Notebooks: 1 of 900 passed\n" in text
    assert "\nand 800 more notebooks\n" in text
    assert "\nand 700 more steps\n" in text
    assert "\n## Tests: 19 of 19 passed" in text
    assert re.search(
        r"\nGitHub shows 1 MiB: \d+ parts of this summary \(notebooks\) were left", text
    )
    assert "## notebook-0: " in text
    assert "<summary>notebook-400: " not in text


@pytest.mark.parametrize("name", ["failed", "failed_tests", "tolerated", "matrix", "killed_kernel"])
def test_hostile_text_in_every_place_stays_text(name: str) -> None:
    record = run_records.RUNS[name]()
    for notebook in record["notebooks"]:
        notebook["cells"] = notebook["cells"][:12]

    text = step_summary.render(cast("RunJson", _poisoned(record)), report="report.html")

    page = Rendered(text)
    assert page.foreign == []
    assert "http://x" not in page.links.values()
    assert not re.search(r"(?<!\w)@all", page.prose)
    assert text.count("<script>") > 3  # in code, where it is text
    assert Rendered(step_summary.render(record, report="report.html")).cells == page.cells


def _poisoned(value: Any, key: str = "") -> Any:
    """Return ``value`` with hostile text in place of every text that is not a fixed word."""
    fixed = {"status", "verdict", "role", "reason", "injected", "command", "started", "schema"}
    if isinstance(value, dict):
        return {k: _poisoned(v, k) for k, v in copy.deepcopy(value).items()}
    if isinstance(value, list):
        return [_poisoned(item, key) for item in value]
    return HOSTILE + value if isinstance(value, str) and value and key not in fixed else value
