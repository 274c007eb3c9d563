from pages import only, soup, stream_cell


def test_chunks_of_a_stream_become_one_output_with_the_last_state_of_a_progress_bar() -> None:
    found = soup(stream_cell("a\n", " 10%|#  |\r", "100%|###|\r\n", *["b\n"] * 20_000))

    (output,) = found.select(".jp-OutputArea-output pre")
    assert output.get_text() == "a\n100%|###|\n" + "b\n" * 20_000


def test_ansi_colours_are_kept() -> None:
    found = soup(
        stream_cell(
            "\x1b[31mred\x1b[0m\x1b[1;32mbold\x1b[22;39m<\x1b[38;2;250;200;3mrgb\x1b[0;48;5;196mback"
            "\x1b[0;7mturned\x1b[m\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\x1b[2Kend"
        )
    )

    output = only(found, ".jp-OutputArea-output pre")
    assert output.get_text() == "redbold<rgbbackturnedlinkend"
    spans = {tag.get_text(): tag.get("class") or tag["style"] for tag in output.select("span")}
    assert spans == {
        "red": ["ansi-red-fg"],
        "bold": ["ansi-green-intense-fg", "ansi-bold"],
        "rgb": "color: rgb(250, 200, 3)",
        "back": "background-color: rgb(255, 0, 0)",
        "turned": ["ansi-default-inverse-fg", "ansi-default-inverse-bg"],
    }
