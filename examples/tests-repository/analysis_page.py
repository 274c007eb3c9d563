"""Read outputs, plots, headings and errors from a notebook's HTML page."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from bs4 import BeautifulSoup, Tag

PNG_START = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, kw_only=True)
class Plot:
    """An image in the page; width and height in pixels."""

    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Page:
    """The content of a page. ``outputs`` is what the cells printed, without their source."""

    headings: tuple[str, ...]
    outputs: str
    plots: tuple[Plot, ...]
    unrun_cells: int
    stopped_by_papermill: bool

    @property
    def raised(self) -> bool:
        """Whether the output of a cell contains a traceback."""
        return "Traceback (most recent call last)" in self.outputs

    def number(self, name: str) -> int | None:
        """Return N of the last printed line ``name: N``, or None if no cell printed one."""
        found = re.findall(rf"^{re.escape(name)}: (\d+)$", self.outputs, re.MULTILINE)
        return int(found[-1]) if found else None


def parse(html: str) -> Page:
    """Read the HTML that nbconvert makes of an executed notebook."""
    soup = BeautifulSoup(html, "html.parser")
    prompts = [tag.get_text(strip=True) for tag in soup.select(".jp-CodeCell .jp-InputPrompt")]
    return Page(
        headings=tuple(
            tag.get_text(strip=True).removesuffix("¶")
            for tag in soup.select(".jp-RenderedMarkdown :is(h1, h2)")
        ),
        outputs="\n".join(tag.get_text() for tag in soup.select(".jp-OutputArea-output")),
        plots=tuple(plot for tag in soup.select("img[src]") if (plot := _read_plot(tag))),
        unrun_cells=sum(re.fullmatch(r"In\s*\[\s*\]:", prompt) is not None for prompt in prompts),
        stopped_by_papermill=soup.find(id="papermill-error-cell") is not None,
    )


def png_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a PNG image, or None for anything else."""
    if not data.startswith(PNG_START) or len(data) < 24:  # noqa: PLR2004 - the two sizes end there
        return None
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _read_plot(tag: Tag) -> Plot | None:
    kind, _, encoded = str(tag["src"]).partition(",")
    if kind != "data:image/png;base64":
        return None
    try:
        size = png_size(base64.b64decode(encoded))
    except binascii.Error:
        return None
    return Plot(width=size[0], height=size[1]) if size else None
