"""The outputs of a cell are compared by what they are: tables, images, texts, streams."""

import base64
import io
from typing import Any

import pytest
from golden_notebooks import circle, frame, printed, raised, shown
from PIL import Image

from stepkit.golden import normalise, output_difference, output_parts
from stepkit.golden.finding import Finding, Tally
from stepkit.golden.limits import Limits


def compare(
    golden: list[Any], new: list[Any], limits: Limits | None = None, tally: Tally | None = None
) -> list[tuple[str, Finding]]:
    limits = limits or Limits()
    both = [output_parts.read(outputs, limits) for outputs in (golden, new)]
    normalise.parts([(limits, part) for part in both])
    return list(output_difference.compare(both[0], both[1], limits, tally or Tally()))


def output(data: dict[str, str]) -> Any:
    return {"output_type": "display_data", "data": {**data, "text/plain": "<shown>"}}


def encoded(form: str, first: Any, *frames: Any, **options: Any) -> str:
    file = io.BytesIO()
    more = {"save_all": True, "append_images": frames} if frames else {}
    first.save(file, form, **more, **options)
    return base64.b64encode(file.getvalue()).decode()


def messages(golden: Any, new: Any, limits: Limits | None = None) -> list[str]:
    return [f"{name}: {found.message}" for name, found in compare([golden], [new], limits)]


def test_a_table_is_compared_by_cell_and_the_cell_is_named() -> None:
    ((name, found),) = compare(
        [shown(html=frame(0.5, 0.25, 0.1))], [shown(html=frame(0.5, 0.26, 0.2))]
    )

    assert name == "text/html"
    assert found.message == (
        "column score, row 1: 0.26 is not 0.25 (4 % off, rtol 1e-09), and 1 other cell"
    )
    assert found.golden == "column score, row 1: 0.25\ncolumn score, row 2: 0.1"
    assert found.new == "column score, row 1: 0.26\ncolumn score, row 2: 0.2"
    assert messages(shown(html=frame(0.25)), shown(html=frame(0.26)), Limits(rtol=0.05)) == []


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (frame(1, 2), "a table of 3 rows and 3 columns, and not 2 rows and 3 columns"),
        (frame(1, columns=("cluster", "area")), "row 1: `area` is not `score`"),
        (frame(1) + frame(1), "2 tables, and not 1"),
        (frame(1).replace("1 rows", "9 rows"), "9 is not 1"),
    ],
)
def test_a_table_of_another_form_says_so(new: str, message: str) -> None:
    (found,) = messages(shown(html=frame(1)), shown(html=new))

    assert message in found


def test_a_row_below_a_cell_of_several_rows_has_the_right_columns() -> None:
    page = (
        "<table><tr><th>a</th><th>b</th><th>score</th></tr>"
        "<tr><th rowspan=2>x</th><th>1</th><td>0.5</td></tr><tr><th>2</th><td>{}</td></tr></table>"
    )

    (found,) = messages(shown(html=page.format(0.25)), shown(html=page.format(0.5)))

    assert found.startswith("text/html: column score, row 2: 0.5 is not 0.25")


def test_a_widget_is_not_compared() -> None:
    view = "application/vnd.jupyter.widget-view+json"
    one, two = (
        {"output_type": "display_data", "data": {view: {"model_id": name}, "text/plain": name}}
        for name in ("a", "b")
    )

    assert messages(one, two) == []


def test_the_style_and_the_markup_of_a_page_do_not_count() -> None:
    golden, new = frame(1), frame(1).replace("top", "bottom").replace('border="1" ', "")

    assert messages(shown(html=golden), shown(html=new)) == []


def test_an_image_may_differ_in_so_many_pixels_by_so_much() -> None:
    golden, new = shown(png=circle(30)), shown(png=circle(31))
    paler = shown(png=circle(30, fill="#f80808"))

    ((name, found),) = compare([golden], [new])

    assert name == "image/png"
    assert found.message.startswith("82 of 10000 pixels differ (0.82 %) by more than 0 of 255")
    assert [uri[:22] for uri in found.images] == ["data:image/png;base64,"] * 3
    assert messages(golden, new, Limits(pixels=0.01)) == []
    (message,) = messages(golden, paler)
    assert message.endswith("by more than 0 of 255, at most by 8, and the limit is 0 %")
    tally = Tally()
    assert compare([golden], [paler], Limits(colours=8), tally) == []
    assert tally.within == 1


def test_images_of_another_size_or_that_cannot_be_read_differ() -> None:
    golden = shown(png=circle())

    assert messages(golden, shown(png=circle(size=(100, 90)))) == [
        "image/png: an image of 100x90 pixels, and not 100x100"
    ]
    assert "an image cannot be read" in messages(golden, shown(png="bm9wZQ=="))[0]


def test_each_frame_of_an_animation_is_compared() -> None:
    golden, new, short = (
        {"image/gif": encoded("GIF", *(Image.new("RGB", (8, 8), name) for name in names))}
        for names in (("red", "blue"), ("red", "green"), ("red",))
    )

    (message,) = messages(output(golden), output(new))
    assert message.startswith("image/gif: frame 2: 64 of 64 pixels differ (100 %)")
    assert messages(output(golden), output(short)) == [
        "image/gif: the number of frames is 1, and not 2"
    ]


def test_images_of_16_bits_are_compared_and_other_bytes_of_the_same_picture_do_not_count() -> None:
    deep = [encoded("PNG", Image.new("I;16", (4, 4), level)) for level in (1000, 60000)]
    assert len(messages(shown(png=deep[0]), shown(png=deep[1]))) == 1
    tally, red = Tally(), Image.new("RGB", (4, 4), "red")
    small, large = (encoded("PNG", red, compress_level=level) for level in (9, 0))
    assert compare([shown(png=small)], [shown(png=large)], tally=tally) == []
    assert tally.within == 0


@pytest.mark.parametrize(
    ("golden", "new", "named"),
    [
        ({"text/html": "<img src='data:image/png;base64,{}'>"}, None, "image/png in text/html"),
        (
            {"text/html": "<audio><source src=data:audio/wav;base64,{}>No audio</audio>"},
            {"text/html": "<audio><source src=data:audio/wav;base64,AAAB>No audio</audio>"},
            "audio/wav in text/html",
        ),
        ({"video/mp4": "AAAA"}, {"video/mp4": "AAAB"}, "video/mp4"),
        ({"application/pdf": "AAAA"}, {"application/pdf": "AAAB"}, "application/pdf"),
    ],
)
def test_files_in_an_output_are_compared(golden: Any, new: Any, named: str) -> None:
    one = {name: value.format(circle(30)) for name, value in golden.items()}
    two = new or {name: value.format(circle(31)) for name, value in golden.items()}

    ((name, _),) = compare([output(one)], [output(two)])

    assert name == named
    assert compare([output(one)], [output(one)]) == []


def test_the_richest_form_of_an_output_is_compared() -> None:
    golden = shown(html=frame(1), plain="what pandas says")

    assert messages(golden, shown(html=frame(1), plain="something else")) == []
    assert messages(golden, shown(plain="what pandas says")) == [
        "output: text/plain, and not text/html"
    ]
    drawn = "<div id='1'></div><script>draw()</script>"
    assert messages(shown(html=drawn, plain="a"), shown(html=drawn, plain="b")) == [
        "text/plain: `b` is not `a`"
    ]
    assert messages(shown(json={"b": 1.0, "a": 2}), shown(json={"a": 2, "b": 1})) == []


def test_a_missing_output_is_a_difference() -> None:
    ((name, found),) = compare([shown(plain="1"), shown(plain="2")], [shown(plain="1")])

    assert (name, found.message) == ("outputs", "1 output, and not 2")


def test_the_error_of_a_cell_is_compared_without_its_traceback() -> None:
    assert messages(raised("KeyError", "'a'"), raised("KeyError", "'a'")) == []
    (found,) = messages(raised("KeyError", "'a'"), raised("ValueError", "'a'"))
    assert found == "error: `ValueError: 'a'` is not `KeyError: 'a'`"


@pytest.mark.parametrize(
    ("streams", "names"), [("none", []), ("stdout", ["stdout"]), ("all", ["stdout", "stderr"])]
)
def test_the_streams_that_are_asked_for_are_compared(streams: Any, names: list[str]) -> None:
    golden = [printed("a"), printed("x", "stderr"), printed("b")]
    new = [printed("\x1b[31mab\x1b[0m c"), printed("10%\r99%\n", "stderr")]

    assert [name for name, _ in compare(golden, new, Limits(streams=streams))] == names


@pytest.mark.parametrize(
    ("golden", "new", "normaliser"),
    [
        ("Wall time: 3.1 s", "Wall time: 812 ms", "times"),
        ("CPU times: user 1.2 ms, sys: 3 µs", "CPU times: user 9 ms, sys: 44 µs", "times"),
        ("at 2026-01-02 10:11:12.5+00:00", "at 2026-11-30T23:59:01Z", "times"),
        ("read /home/a/x.h5ad", "read /tmp/run-1/data/x.h5ad", "paths"),
        ("~/a/b.py:3: Warning", "/opt/x/y.py:3: Warning", "paths"),
    ],
)
def test_times_and_paths_count_until_the_rules_say_otherwise(
    golden: str, new: str, normaliser: Any
) -> None:
    (found,) = messages(printed(golden), printed(new))

    assert found.endswith(f"; normalise: [{normaliser}] accepts this")
    assert messages(printed(golden), printed(new), Limits(normalise=(normaliser,))) == []


def test_addresses_never_count_and_an_own_expression_replaces_more() -> None:
    assert messages(shown(plain="<A at 0x7f00aa>"), shown(plain="<A at 0x55bb1234>")) == []
    assert messages(printed("ptr 0x7f00aabbccdd"), printed("ptr 0x55bb12345678")) == []
    assert messages(printed("crc 0xffff"), printed("crc 0xfffe")) != []
    limits = Limits(replace=((r"run-(\w)\w+", r"run-\1"),))
    assert messages(printed("run-abc 1"), printed("run-axy 1"), limits) == []
    assert messages(printed("run-abc 1"), printed("run-bxy 1"), limits) != []
    lines = Limits(replace=(("^.*GiB free$", "free"),))
    assert messages(printed("a\n7 GiB free\nb"), printed("a\n9 GiB free\nb"), lines) == []


@pytest.mark.parametrize(
    "page",
    [
        "<TABLE><TR><TD>{}",
        "<table><td>{}<script>draw(<!--",
        "<td <b>{}</td><!-- x",
        "< {} &lt;",
        "<table><tr><td>a<table><tr><td>{}</td></tr></table></td></tr></table>",
        "<table><tr><td>a</td></tr><caption>Table {}</caption></table>",
    ],
)
def test_no_text_of_a_page_is_lost_whatever_its_markup(page: str) -> None:
    one, two = (shown(html=page.format(number), plain="") for number in (1, 2))

    assert messages(one, one) == []
    (found,) = messages(one, two)
    assert "2 is not 1" in found


@pytest.mark.parametrize("output", [{}, {"output_type": "stream", "name": [], "text": "x"}])
def test_an_output_of_another_form_is_not_compared(output: Any) -> None:
    assert compare([output], [printed("")]) == []
