"""Count the outputs, images and tables of a page or of an executed notebook."""

from __future__ import annotations

from collections import Counter
from functools import partial
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final

from stepkit.artifacts import content_types
from stepkit.errors import ConfigurationError
from stepkit.notebook import ipynb

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_CHUNK: Final = 1 << 20  # characters
# nbconvert's, of its templates lab and classic
_NOTEBOOK_CLASSES: Final = {"jp-Notebook", "jp-Cell", "text_cell", "code_cell"}
_OUTPUT_CLASSES: Final = {"jp-OutputArea-output", "output_subarea"}


class UncountableError(Exception):
    """A file in which nothing can be counted; the message continues a sentence about it."""


def count(path: Path) -> Mapping[str, int]:
    """Return the numbers of ``outputs``, ``images`` and ``tables`` in a page or a notebook.

    Of a notebook, or its page, only what is in outputs counts; of another page, all of it. An
    image is ``<img>``, ``<svg>`` or an output of an image type. Raises :class:`UncountableError`,
    and :class:`OSError`.
    """
    if path.stat().st_size > content_types.LARGEST:
        raise UncountableError(
            f"is larger than {content_types.LARGEST >> 20} MiB, too large to look into"
        )
    kind = content_types.find(path)
    if kind == "json":
        return _count_notebook(path)
    if kind == "html":
        return _count_page(path)
    name = content_types.TYPES[kind][0] if kind else "of an unknown type"
    raise UncountableError(f"is {name}, in which nothing can be counted")


def _count_notebook(path: Path) -> Mapping[str, int]:
    try:
        notebook = ipynb.read(path, any_cell=True)
    except ConfigurationError as error:
        raise UncountableError(f"is not a notebook: {error}") from error
    total: Counter[str] = Counter()
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            total["outputs"] += 1
            data = output.get("data")
            data = data if isinstance(data, dict) else {}
            html = data.get("text/html")
            lines = html if isinstance(html, list) else [html]  # nbformat checks none of it
            inside = _count_html(line for line in lines if isinstance(line, str))
            total["tables"] += inside["tables"]
            is_image = any(media_type.startswith("image/") for media_type in data)
            total["images"] += 1 if is_image else inside["images"]
    return total


def _count_page(path: Path) -> Mapping[str, int]:
    with path.open(encoding="utf-8", errors="replace") as file:
        return _count_html(iter(partial(file.read, _CHUNK), ""))


def _count_html(texts: Iterable[str]) -> Mapping[str, int]:
    """Count in a text that comes in pieces.

    The parser keeps what it has not finished, such as a long tag, and looks at it from its start
    when more comes. It gets at least as much again each time, which keeps that work linear.
    """
    counter = _Counter()
    waiting, length = [], 0
    try:
        for text in texts:
            waiting.append(text)
            length += len(text)
            if length >= len(counter.rawdata):
                counter.feed("".join(waiting))
                waiting, length = [], 0
        counter.feed("".join(waiting))  # and not close(): a tag that does not end is not one
    except AssertionError as error:  # for declarations that it does not know
        raise UncountableError(f"is not HTML that can be read: {error}") from error
    return counter.in_outputs if counter.is_notebook else counter.everywhere


class _Counter(HTMLParser):
    """Counts elements: all of them, and those in outputs of a notebook's page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.everywhere: Counter[str] = Counter()
        self.in_outputs: Counter[str] = Counter()
        self.is_notebook = False
        self._divs = 0  # open ones, from the outermost output on
        self._svgs = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"div", "body"}:
            classes = (dict(attrs).get("class") or "").split()
            self.is_notebook |= not _NOTEBOOK_CLASSES.isdisjoint(classes)
            if tag == "div" and (self._divs or _OUTPUT_CLASSES.intersection(classes)):
                self.in_outputs["outputs"] += not self._divs
                self._divs += 1
        elif tag == "table":
            self._add("tables")
        elif tag == "svg":
            self._svgs += 1
            if self._svgs == 1:
                self._add("images")
        elif tag == "img" and dict(attrs).get("src"):
            self._add("images")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag == "svg":  # of HTML elements, the slash closes none
            self._svgs -= 1

    def handle_endtag(self, tag: str) -> None:
        if tag == "div" and self._divs:
            self._divs -= 1
        elif tag == "svg" and self._svgs:
            self._svgs -= 1

    def _add(self, what: str) -> None:
        self.everywhere[what] += 1
        if self._divs:
            self.in_outputs[what] += 1
