"""What ran on the CPU reads the same in summary, page and terminal, and none of it acts there."""

from html.parser import HTMLParser
from typing import Any

import run_records

from stepkit.report import cpu_fallback_text
from stepkit.report.page import report_page
from stepkit.report.run_json import RunJson
from stepkit.report.summary import step_summary
from stepkit.report.terminal.paint import Paint
from stepkit.report.terminal.run_page import run_page

ODD = "a|b<script>alert(1)</script>"


def on_cpu(calls: int, cpu_calls: int, cpu_ms: int, *names: str, memory: int = 0) -> dict[str, Any]:
    why = {"calls": 1, "duration_ms": cpu_ms, "why": "TypeError: a <lambda>"}
    return {
        "cpu_fallback": round(cpu_calls / calls, 6),
        "cpu_fallback_calls": {
            "calls": calls, "cpu_calls": cpu_calls, "out_of_memory": memory, "cpu_ms": cpu_ms,
            "duration_ms": cpu_ms, "functions": [{"name": name, **why} for name in names],
        },
    }  # fmt: skip


def run(*cells: dict[str, Any], whole: dict[str, Any]) -> RunJson:
    found = [run_records.cell(number, **cell) for number, cell in enumerate(cells, 1)]
    record = run_records.run(notebooks=[run_records.notebook(cells=found, **whole)])
    run_records.validate(record)
    return record


RUN = run(
    {},
    on_cpu(10, 2, 800, "DataFrame.merge", memory=2),
    on_cpu(10, 0, 0),
    on_cpu(18, 11, 5300, "DataFrame.apply", ODD),
    whole=on_cpu(38, 13, 6100, "DataFrame.apply", ODD, "DataFrame.merge", memory=2),
)
TEXT = (
    f"34 % of calls on the CPU: DataFrame.apply, {ODD}, DataFrame.merge; "
    "2 calls for want of GPU memory"
)


class Text(HTMLParser):
    """The text of a page, and the elements in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self.scripts = 0
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_starttag(self, tag: str, _: Any) -> None:
        self.scripts += tag == "script"


def test_cells_come_in_the_order_of_their_time_on_the_cpu() -> None:
    (notebook,) = RUN["notebooks"]

    assert cpu_fallback_text.spelled(notebook) == TEXT
    assert [cell["number"] for cell in cpu_fallback_text.cells_on_cpu(notebook)] == [4, 2]
    assert cpu_fallback_text.spelled(notebook["cells"][0]) == ""
    assert cpu_fallback_text.spelled(notebook["cells"][2]) == "0 % of calls on the CPU"


def test_a_summary_has_a_sentence_and_a_row_for_each_cell() -> None:
    lines = step_summary.render(RUN).splitlines()

    assert (
        r"cudf.pandas and cuml.accel: 34 % of calls on the CPU: DataFrame.apply, a\|b&lt;script&gt;"
        "alert(1)&lt;/script&gt;, DataFrame.merge; 2 calls for want of GPU memory."
    ) in lines
    head = lines.index("| cell | on the CPU | calls | time there | functions | why |")
    first, second, after = lines[head + 2 : head + 5]
    assert first.startswith(
        "| [cell 4](output_analysis.html#cell-4) | 61 % | 11 of 18 | 5.3 s | DataFrame.apply, "
    )
    assert first.endswith(" | TypeError: a &lt;lambda&gt; |")
    assert "| 20 % | 2 of 10 | 0.8 s | DataFrame.merge |" in second
    assert after == ""


def test_a_terminal_shows_them_below_the_cells() -> None:
    lines = run_page(RUN, Paint(width=120)).splitlines()

    at = lines.index(TEXT)
    assert lines[at + 1 : at + 3] == [
        f"    4   61 %  11 of 18 calls, 5.3 s  DataFrame.apply, {ODD}",
        "    2   20 %  2 of 10 calls, 0.8 s  DataFrame.merge",
    ]


def test_a_long_notebook_shows_the_five_cells_that_took_longest() -> None:
    cells = [on_cpu(10, 5, 100 * number, f"f{number}") for number in range(1, 9)]
    record = run(*cells, whole=on_cpu(80, 40, 3600, "f8"))

    short, long = run_page(record, Paint()), run_page(record, Paint(), every=True)

    assert "\nand 3 more cells: --all shows them\n" in short
    assert ("0.4 s  f4" in short, "0.3 s  f3" in short) == (True, False)
    assert ("0.3 s  f3" in long, "more cells" in long) == (True, False)
    summary = step_summary.render(record)
    assert "CPU: f8. The table has the 5 of 8 cells that took longest.\n" in summary
    assert ("| f4 |" in summary, "| f3 |" in summary) == (True, False)


def test_a_page_has_a_section_of_cells_and_functions() -> None:
    page = report_page.render(RUN, lambda _: None)
    plain = report_page.render(run({}, whole={}), lambda _: None)

    shown = " ".join("".join(Text(page).text).split())
    assert (
        "34 % of the calls of cudf.pandas and cuml.accel ran on the CPU: 13 of 38, and 6.1 s of "
        "6.1 s. For 2 of them, the GPU's memory did not suffice."
    ) in shown
    assert "20 % of calls on the CPU: DataFrame.merge; 2 calls for want of GPU memory" in shown
    assert Text(page).scripts == Text(plain).scripts
    assert '<section id="cpu"' in page
    assert '<section id="cpu"' not in plain
    assert "calls on the CPU" not in plain


def test_a_page_says_where_nothing_ran_on_the_cpu() -> None:
    page = report_page.render(run(on_cpu(4, 0, 0), whole=on_cpu(4, 0, 0)), lambda _: None)

    assert "no call on the CPU" in page
    assert '<section id="cpu"' not in page


def test_several_notebooks_have_their_shares_in_their_table() -> None:
    (notebook,) = RUN["notebooks"]
    other = run_records.notebook(name="other")
    record = run_records.run(notebooks=[notebook, other])

    rows = [line for line in step_summary.render(record).splitlines() if line.startswith("|")]
    lines = [line for line in run_page(record, Paint()).splitlines() if " cells, GPU" in line]

    assert rows[0] == "| notebook | status | cells | time | GPU peak | on the CPU | what |"
    assert "| 34 % |" in rows[2]
    assert "|  |" in rows[3]
    page = report_page.render(record, lambda _: None)
    assert '<th scope="col" class="number">On the CPU</th>' in page
    assert '<td class="number on-cpu" data-v="0.342105">34 %</td>' in page
    assert [line.endswith(", 34 % of calls on the CPU") for line in lines] == [True, False]
