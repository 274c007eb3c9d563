import copy
import re
from typing import Any

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pages import PNG, display_cell, only, render_page, soup, stream_cell


def test_cells_have_the_numbers_that_a_verdict_uses() -> None:
    found = soup(
        new_markdown_cell("# Title"),
        new_code_cell("a", id="first"),
        new_code_cell("p = 1", metadata={"tags": ["injected-parameters"]}),
        new_code_cell(" "),
        new_code_cell("left out", metadata={"tags": ["skip-execution"]}),
        new_code_cell("b", id="second"),
    )

    anchors = [tag for tag in found.select("[id]") if re.fullmatch(r"cell-\d+", str(tag["id"]))]
    assert [tag["id"] for tag in anchors] == ["cell-1", "cell-2"]
    followers = [tag.find_next("div", id=True) for tag in anchors]
    assert [tag and tag["id"] for tag in followers] == ["cell-id=first", "cell-id=second"]
    labels = [tag.get_text() for tag in found.select(".stepkit-number")]
    assert labels == ["cell 1", "injected parameters", "cell 2"]


def test_cells_whose_code_is_hidden_show_no_number() -> None:
    hidden = new_code_cell("a", metadata={"jupyter": {"source_hidden": True}})

    assert soup(hidden).select(".stepkit-number") == []
    assert soup(new_code_cell("a"), hide_input=True).select(".stepkit-number") == []


@pytest.mark.parametrize(
    ("cells", "title", "has_own"),
    [
        (["# The *first* [one](x)", "# Second"], "The first one", True),
        (["```\n# no heading\n```\n## Low"], "Low", False),
        (["Under\n====="], "Under", True),
        (["only text"], "analysis", False),
    ],
)
def test_a_page_has_a_title_and_a_main_heading(
    cells: list[str], title: str, *, has_own: bool
) -> None:
    found = soup(*map(new_markdown_cell, cells))

    assert only(found, "title").get_text() == title
    first = only(found, "h1")
    assert first.get_text().removesuffix("\N{PILCROW SIGN}") == title
    assert (first.get("class") == ["stepkit-title"]) is not has_own


def test_the_page_has_the_language_of_the_notebook() -> None:
    assert only(soup(metadata={"lang": "de-CH"}), "html")["lang"] == "de"
    assert only(soup(metadata={"lang": '"><script>'}), "html")["lang"] == "en"


ERROR = new_output("error", ename="KeyError", evalue="'pca'", traceback=["boom"])


def failed_cells() -> list[Any]:
    return [
        new_code_cell("ok", metadata={"papermill": {"status": "completed"}}),
        new_code_cell("bad", outputs=[ERROR], metadata={"papermill": {"status": "failed"}}),
        new_code_cell("never", metadata={"papermill": {"status": "pending"}}),
    ]


@pytest.mark.parametrize("template", ["lab", "classic", "basic"])
def test_the_page_of_a_failed_notebook_begins_with_a_link_to_the_failed_cell(template: str) -> None:
    found = soup(*failed_cells(), template=template)

    bar = only(found, "[role=alert]")
    assert bar.get_text() == "1 cell failed, 1 did not run. First error: cell 2\n".strip()
    target = only(found, "#" + str(only(found, "[role=alert] a")["href"]).removeprefix("#"))
    following = target.find_next("a")
    assert following is not None
    assert following["id"] == "cell-2"


def marker(text: str) -> Any:
    return new_markdown_cell(text, metadata={"tags": ["papermill-error-cell-tag"]})


HEADLINE = '<span style="color:red; font-size:2em;">%s \'<a href="#x">In [2]</a>\'.</span>'
HERE = '<span id="papermill-error-cell">Execution using papermill encountered an exception</span>'
KILLED = "the kernel was killed by SIGKILL in cell 2 of 3 (`<kill>`)"


@pytest.mark.parametrize(
    ("headline", "metadata", "said"),
    [
        ("An Exception was encountered at", {}, ""),
        ("The kernel died at", {}, "The kernel died at 'In [2]'."),
        ("The kernel died at", {"failure": KILLED}, KILLED.replace("`", "")),
        ("An Exception was encountered at", {"failure": 5}, ""),
    ],
)
def test_the_first_line_says_why_the_run_ended_in_place_of_papermills_headlines(
    headline: str, metadata: dict[str, Any], said: str
) -> None:
    ok, bad, never = failed_cells()
    cells = [marker(HEADLINE % headline), ok, marker(HERE), bad, never]

    found = soup(*cells, metadata={"stepkit": metadata})

    bar = only(found, "[role=alert]").get_text()
    assert bar == "1 cell failed, 1 did not run. First error: cell 2" + said
    text = found.get_text().replace(bar, "")
    assert headline not in text
    assert "Execution using papermill" not in text
    assert "boom" in text


def test_a_run_that_failed_between_two_cells_says_so() -> None:
    ok, _, never = failed_cells()
    metadata = {"stepkit": {"failure": "stopped by SIGTERM when 1 of 2 cells had run"}}

    bar = only(soup(ok, never, metadata=metadata), "[role=alert]")

    assert bar.get_text() == "Failed, 1 did not run.stopped by SIGTERM when 1 of 2 cells had run"


def test_headlines_stay_where_no_cell_failed() -> None:
    ok, _, _ = failed_cells()

    assert "Exception was" in soup(marker("An Exception was encountered at"), ok).get_text()


def test_expected_and_tolerated_errors_are_not_failures() -> None:
    tagged = new_code_cell("a", outputs=[ERROR], metadata={"tags": ["raises-exception"]})
    tolerated = new_code_cell("b", outputs=[ERROR], metadata={"papermill": {"status": "completed"}})

    assert soup(tagged, tolerated).select("[role=alert]") == []


def test_tolerated_errors_are_counted_linked_and_explained() -> None:
    metadata = {"papermill": {"status": "failed"}, "stepkit": {"tolerated": "no <GPU> here"}}
    cell = new_code_cell("b", outputs=[ERROR], metadata=metadata)

    found = soup(new_code_cell("a"), cell)

    assert only(found, ".stepkit-bar").get_text() == "Passed with 1 tolerated error: cell 2"
    target = only(found, "#" + str(only(found, ".stepkit-bar a")["href"]).removeprefix("#"))
    note = target.find_next("p")
    assert note is not None
    assert note.get_text() == "Tolerated: no <GPU> here"
    assert found.select("[role=alert]") == []


def test_a_failure_is_shown_rather_than_a_tolerated_error() -> None:
    cell = new_code_cell("b", outputs=[ERROR], metadata={"stepkit": {"tolerated": ""}})

    found = soup(cell, *failed_cells())

    assert "1 cell failed" in only(found, ".stepkit-bar").get_text()
    assert "Tolerated: no reason was given" in found.get_text()


@pytest.mark.parametrize("reason", [5, None, ["x"]])
def test_a_reason_that_is_not_text_tolerates_nothing(reason: Any) -> None:
    cell = new_code_cell("b", outputs=[ERROR], metadata={"stepkit": {"tolerated": reason}})

    assert "1 cell failed" in only(soup(cell), "[role=alert]").get_text()


def test_the_notebook_is_not_changed() -> None:
    nb = new_notebook(
        cells=[
            *failed_cells(),
            stream_cell("a\r", "b"),
            new_code_cell("%%bash\nls", metadata={"jupyter": {"source_hidden": True}}),
            display_cell({"image/png": PNG}, alt="x"),
        ],
        metadata={"widgets": {}},
    )
    before = copy.deepcopy(nb)

    render_page(nb)

    assert nb == before
