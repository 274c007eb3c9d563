"""An expected artifact is a path, perhaps with conditions, on the command line or in a file."""

from pathlib import Path

import pytest

from stepkit.artifacts import expectations
from stepkit.artifacts.expectations import Expectation
from stepkit.errors import ConfigurationError


def one(text: str, suffix: str = "") -> Expectation:
    (found,) = expectations.read([text], None, suffix)
    return found


def test_conditions_follow_the_path() -> None:
    text = "figures/umap.html: size>=100KB, type=html, images >= 3, tables>=1,outputs>=9"

    found = one(text)

    assert (found.path, found.size, found.kind) == ("figures/umap.html", 100_000, "html")
    assert found.counts == {"images": 3, "tables": 1, "outputs": 9}
    assert found.conditions == 5


def test_a_path_alone_is_a_file_that_is_not_empty() -> None:
    found = one("figures/umap.png")

    assert (found.path, found.size, found.kind, found.counts) == ("figures/umap.png", 1, "", {})
    assert found.conditions == 0


@pytest.mark.parametrize("name", ["a: b.txt", "12:30.log", "a=b>=c.txt", "sizes>=3", "a:x=1"])
def test_a_name_may_hold_colons_and_operators(name: str) -> None:
    assert one(name).path == name
    assert one(f"{name}: size>=2").path == name


@pytest.mark.parametrize("text", ["images>=3", "type=html, size>=1KB"])
def test_conditions_without_a_path_are_refused_with_the_form(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        one(text)

    assert str(caught.value) == (
        f"--expect {text!r}: {text} is a condition without a file: write PATH: {text}, such as "
        f"output_analysis.html: {text}"
    )
    assert one(f"size>=3: {text}").path == "size>=3"


def test_the_suffix_of_the_run_stands_in_a_path() -> None:
    assert one("output_analysis{suffix}.html: images>=3", "_lite").path == (
        "output_analysis_lite.html"
    )


def test_a_media_type_is_a_type_too() -> None:
    assert one("umap: type=image/png").kind == "png"


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ("images 3", "'images 3' is not a condition: write size>=100KB, type=html, outputs>=1, "),
        ("size>=1KB,", "'' is not a condition"),
        ("imges>=3", "there is no condition 'imges': did you mean images"),
        ("images=3", "images=3: write images>=3"),
        ("type>=html", "type>=html: write type=html"),
        ("images>=many", "images>=many: write a number from 1 on"),
        ("images>=0", "images>=0: write a number from 1 on"),
        ("images>=1, images>=2", "images is given twice"),
        ("size>=large", "size 'large' is not a size"),
        ("type=pgn", "there is no type 'pgn': did you mean png"),
    ],
)
def test_what_is_not_a_condition_is_refused(conditions: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        one(f"page.html: {conditions}")

    assert f"--expect 'page.html: {conditions}': {message}" in str(caught.value)


def test_a_file_has_a_line_for_each_artifact(tmp_path: Path) -> None:
    file = tmp_path / "expect.yaml"
    file.write_text("page{suffix}.html: size>=1KB, images>=3\nnotes.txt:\n")

    flag, page, notes = expectations.read(["umap.png"], file, "_lite")

    assert flag.path == "umap.png"
    assert (page.path, page.size, page.counts) == ("page_lite.html", 1000, {"images": 3})
    assert (notes.path, notes.conditions) == ("notes.txt", 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- page.html\n", "is not a list of expected artifacts: write lines such as"),
        ("a.txt:\npage.html: {images: 3}\n", "line 2: the conditions of page.html are not a text"),
        ("a.txt:\npage.html: images=3\n", "line 2: images=3: write images>=3"),
        ("page.html: images>=3\npage.html: images>=4\n", "line 2"),
    ],
)
def test_a_file_that_cannot_be_read_so_is_refused_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "expect.yaml"
    file.write_text(text)

    with pytest.raises(ConfigurationError) as caught:
        expectations.read([], file, "")

    assert str(file) in str(caught.value)
    assert message in str(caught.value)
