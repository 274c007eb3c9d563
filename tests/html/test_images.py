from pathlib import Path

from nbformat.v4 import new_markdown_cell
from pages import PNG, soup


def test_attachments_are_found_by_names_with_spaces() -> None:
    cell = new_markdown_cell(
        '![a](attachment:my%20plot.png) <img src="attachment:my plot.png" alt="b">',
        attachments={"my plot.png": {"image/png": PNG}},
    )

    images = soup(cell).select("img")

    assert [image["src"] for image in images] == [f"data:image/png;base64,{PNG}"] * 2
    assert [image["alt"] for image in images] == ["a", "b"]


def test_images_are_embedded_from_below_the_directory_only(tmp_path: Path) -> None:
    inside = tmp_path / "repository"
    (inside / "figures").mkdir(parents=True)
    (inside / "figures/a b.png").write_bytes(b"inside")
    (tmp_path / "secret.png").write_bytes(b"outside")
    (inside / "link.png").symlink_to(tmp_path / "secret.png")
    (inside / "key.txt").write_bytes(b"outside")
    cell = new_markdown_cell(
        "![](figures/a%20b.png) ![](../secret.png) ![](link.png) ![](key.txt) ![](missing.png)\n"
        f'\n<img src="figures/a b.png"> <img src="{tmp_path}/secret.png">'
    )

    found = soup(cell, directory=inside)

    sources = [str(tag["src"]) for tag in found.select("img")]
    assert sources == ["data:image/png;base64,aW5zaWRl"] * 2
    left_out = [tag.get_text() for tag in found.select(".stepkit-not-loaded a")]
    secret = f"{tmp_path}/secret.png"
    assert left_out == ["../secret.png", "link.png", "key.txt", "missing.png", secret]
