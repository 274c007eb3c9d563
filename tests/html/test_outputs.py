import pytest
from nbformat.v4 import new_code_cell, new_output
from pages import PNG, display_cell, only, soup

GIF = "R0lGODlhAQABAAAAACw="


def test_an_output_that_only_a_script_draws_gets_a_note() -> None:
    drawn = '<div style="height:525px"></div><script>draw()</script>'

    found = soup(
        display_cell({"text/html": drawn, "text/plain": "Figure({...})"}),
        display_cell({"application/javascript": "draw()", "text/plain": "<Javascript object>"}),
    )

    notes = [tag.get_text() for tag in found.select(".stepkit-note")]
    assert len(notes) == 2
    assert all("--trust-scripts" in note for note in notes)
    assert "draw()" not in str(found)


def test_the_image_beside_a_script_is_shown_without_a_note() -> None:
    found = soup(display_cell({"text/html": "<script>draw()</script>", "image/png": PNG}))

    assert str(only(found, ".jp-RenderedImage img")["src"]).endswith(PNG)
    assert found.select(".stepkit-note") == []


def test_a_widget_is_shown_by_its_text() -> None:
    view = {"model_id": "a", "version_major": 2, "version_minor": 0}
    cell = display_cell({"text/plain": "IntSlider(value=3)"})
    cell.outputs[0].data["application/vnd.jupyter.widget-view+json"] = view

    found = soup(cell)

    assert "IntSlider(value=3)" in found.get_text()
    assert "widget" in only(found, ".stepkit-note").get_text()


def test_a_format_that_a_page_cannot_show_is_named() -> None:
    found = soup(display_cell({"application/vnd.plotly.v1+json": "{}"}))

    assert "application/vnd.plotly.v1+json" in only(found, ".stepkit-note").get_text()


@pytest.mark.parametrize("template", ["lab", "classic", "basic"])
@pytest.mark.parametrize(
    "form", ["image/png", "image/jpeg", "image/svg+xml", "image/gif", "image/webp"]
)
def test_every_image_is_described_by_its_author(form: str, template: str) -> None:
    content = "<svg/>" if form == "image/svg+xml" else GIF
    cells = [
        display_cell({form: content, "text/plain": "<Figure>"}, **{form: {"alt": 'one "1"'}}),
        display_cell({form: content, "text/plain": "<Figure>"}, alt="two"),
        display_cell({form: content, "text/plain": "three"}),
        display_cell({form: content, "text/plain": "<Figure size 640x480>"}),
        new_code_cell(
            "x",
            metadata={"alt": "five"},
            outputs=[new_output("display_data", data={form: content})],
        ),
    ]

    images = soup(*cells, template=template).select("img")

    wanted = ['one "1"', "two", "three", "Output 1 of cell 4: no description", "five"]
    assert [image["alt"] for image in images] == wanted
    assert all(str(image["src"]).startswith(f"data:{form};base64,") for image in images)


def test_images_in_html_are_described_too() -> None:
    html = '<img src="data:image/png;base64,AA=="><img alt="" src="data:,">'

    images = soup(display_cell({"text/html": html})).select("img")

    assert [image["alt"] for image in images] == ["Output 1 of cell 1: no description", ""]


def test_an_error_without_a_traceback_is_shown() -> None:
    error = new_output("error", ename="TimeoutError", evalue="too long", traceback=[])

    assert "TimeoutError: too long" in soup(new_code_cell("x", outputs=[error])).get_text()
