import base64

import pytest
from nbformat.v4 import new_markdown_cell
from pages import PNG, display_cell, only, soup

SITE = "https://example.org"


@pytest.mark.parametrize("trusted", [False, True])
def test_the_note_in_place_of_an_image_links_its_address(*, trusted: bool) -> None:
    found = soup(
        new_markdown_cell(f'![a & b]({SITE}/a?x=1&y=2) ![](//example.org/b) <img src="c.png">'),
        display_cell({"text/html": f"<IMG src={SITE}/d><img src='data:image/png;base64,{PNG}'>"}),
        trust_scripts=trusted,
    )

    notes = found.select(".stepkit-not-loaded")
    assert [note.get_text() for note in notes] == [
        f"Image not loaded: a & b, {SITE}/a?x=1&y=2",
        "Image not loaded: //example.org/b",
        "Image not loaded: c.png",
        f"Image not loaded: {SITE}/d",
    ]
    links = [str(only(note, "a")["href"]) for note in notes]
    assert links == [f"{SITE}/a?x=1&y=2", "https://example.org/b", "c.png", f"{SITE}/d"]
    assert len(found.select("img")) == 1


def test_a_badge_is_shown_by_its_description_and_keeps_its_link() -> None:
    found = soup(new_markdown_cell(f"[![Open In Colab]({SITE}/badge.svg)]({SITE}/colab)"))

    link = only(found, f'a[href="{SITE}/colab"]')
    assert link.get_text() == "Open In Colab (image not loaded)"
    assert only(link, ".stepkit-not-loaded")["title"] == f"{SITE}/badge.svg"
    assert link.select("a") == []


@pytest.mark.parametrize("address", ["java\nscript:alert()", "javascript:alert()", "file:///x"])
def test_an_address_that_does_more_than_open_a_page_is_no_link(address: str) -> None:
    found = soup(display_cell({"text/html": f'<iframe src="{address}"></iframe>'}))

    assert only(found, ".stepkit-not-loaded").get_text().startswith("Frame not loaded: ")
    assert found.select("main .stepkit-not-loaded a") == []


def test_a_long_address_is_shown_short_and_linked_whole() -> None:
    address = f"{SITE}/{'x' * 500}"
    found = soup(display_cell({"text/html": f'<iframe title="A map" src="{address}"></iframe>'}))

    note = only(found, ".stepkit-not-loaded")
    assert note.get_text().startswith(f"Frame not loaded: A map, {SITE}/xxx")
    assert len(note.get_text()) < 200
    assert only(note, "a")["href"] == address


MAP = "<b>Käfer & co</b>"


@pytest.mark.parametrize(
    "attribute",
    [
        "srcdoc='<b>Käfer &amp;amp; co</b>'".replace("&amp;amp;", "&amp;"),
        "src='data:text/html;charset=utf-8,%3Cb%3EK%C3%A4fer%20%26%20co%3C/b%3E'",
        f"src='data:text/html;charset=latin-1;base64,{base64.b64encode(MAP.encode('latin-1')).decode()}'",
        "src='about:blank' data-html=%3Cb%3EK%C3%A4fer%20%26%20co%3C/b%3E onload='write()'",
    ],
)
@pytest.mark.parametrize(("trusted", "scripts"), [(False, False), (True, True)])
def test_a_frame_with_its_content_is_shown_in_a_sandbox(
    attribute: str, *, trusted: bool, scripts: bool
) -> None:
    html = f'<iframe {attribute} width="300" style="border: 0" allow="camera"></iframe>'

    frame = only(soup(display_cell({"text/html": html}), trust_scripts=trusted), "main iframe")

    assert frame["srcdoc"] == MAP
    assert ("allow-scripts" in str(frame["sandbox"])) is scripts
    assert "allow-same-origin" not in str(frame["sandbox"])
    assert (frame["width"], frame["style"]) == ("300", "border: 0")
    assert {"src", "allow", "onload"}.isdisjoint(frame.attrs)
    assert frame["title"]


def test_a_frame_that_only_a_script_draws_gets_a_note() -> None:
    html = "<iframe srcdoc='<div id=map></div><script>draw()</script>'></iframe>"

    found = soup(display_cell({"text/html": html}))

    assert "--trust-scripts" in only(found, ".stepkit-not-loaded").get_text()
    assert found.select("main iframe") == []
    assert len(soup(display_cell({"text/html": html}), trust_scripts=True).select("iframe")) == 1


@pytest.mark.parametrize(
    ("html", "said"),
    [
        (f"<video controls src={SITE}/v.mp4></video>", f"Video not loaded: {SITE}/v.mp4"),
        (f"<audio><source src={SITE}/a.wav>no</audio>", f"Recording not loaded: {SITE}/a.wav"),
        (f"<embed src={SITE}/x.pdf>", f"Object not loaded: {SITE}/x.pdf"),
        ("<object data='data:application/pdf;base64,AA=='></object>", "data:application/pdf"),
        ("<iframe src='data:application/pdf;base64,AA=='></iframe>", "data:application/pdf"),
        ("<iframe src='data:text/html;base64,A'></iframe>", "data:text/html;base64"),
        ("<iframe></iframe>", "Frame without content."),
    ],
)
def test_what_else_a_page_does_not_load_gets_a_note(html: str, said: str) -> None:
    found = soup(display_cell({"text/html": f"<p>before</p>{html}<p>after</p>"}))

    note = only(found, ".stepkit-not-loaded")
    assert said in note.get_text()
    assert note.parent is not None
    assert note.parent.name == "div"  # not inside of the player, where nobody sees it


def test_what_is_in_the_page_gets_no_note() -> None:
    html = (
        "<audio src='data:audio/wav;base64,AA=='></audio><img><img src=''><picture>"
        "<source srcset='x'></picture><video><source src='data:video/mp4,x'></video><source src=x>"
    )
    assert soup(display_cell({"text/html": html})).select(".stepkit-not-loaded") == []


def test_a_player_with_several_sources_has_one_note_before_it() -> None:
    html = f"<video src={SITE}/1><source src={SITE}/2></video><audio><source src={SITE}/3>"
    html += f"<source src={SITE}/4></audio>"

    found = soup(display_cell({"text/html": html}))

    notes = found.select(".stepkit-not-loaded")
    assert [only(note, "a")["href"] for note in notes] == [f"{SITE}/1", f"{SITE}/3"]
    following = [note.find_next_sibling() for note in notes]
    assert [tag.name for tag in following if tag] == ["video", "audio"]


def test_the_image_beside_a_frame_that_is_not_loaded_is_shown_with_the_note() -> None:
    video = f'<iframe width="400" src="{SITE}/embed/abc"></iframe>'

    found = soup(
        display_cell({"text/html": video, "image/png": PNG, "text/plain": "<YouTubeVideo>"}),
        display_cell({"text/html": f"<p>text</p>{video}", "image/png": PNG}),
    )

    assert len(found.select(".stepkit-not-loaded a")) == 2
    (image,) = found.select("main img")
    assert image["src"] == f"data:image/png;base64,{PNG}"
    assert image["alt"] == "Output 1 of cell 1: no description"
