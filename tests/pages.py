"""Render a notebook's page, and HTML that could break the page around it."""

from pathlib import Path
from typing import Any

import nbformat
from bs4 import BeautifulSoup, Tag
from nbformat.v4 import new_code_cell, new_notebook, new_output

from stepkit.html import nbconvert

PNG = "iVBORw0KGgo="

# HTML that leaves an element, a comment or a quote open, or closes more than it opened.
LEFT_OPEN = [
    "<!-- ",
    "<script>x",
    "<STYLE>",
    "<textarea>",
    "<title>",
    "<template>",
    "<svg><desc>",
    "<svg><![CDATA[",
    "<svg><style><!--",
    "<math><annotation-xml encoding='text/html'>",
    "<math><svg><desc><style>",
    '<table style="display:none"><tr><td>',
    "<table><b style=display:none><tr><td>x</table>",
    "<select><option>",
    "<marquee>",
    "<noscript>",
    "<iframe>",
    "<plaintext>",
    "<xmp>",
    "<frameset>",
    "<details><div hidden>",
    "</div></div></div></main></body>",
    "<div></td></div></div></div></div>",
    "<li><div><td><li></div></div></div></div>",
    "<table><div><table></div></div></div></div>",
    "<h3><div><h1><h2></h2></h1></div></div></div></div>",
    "<button><div><button></div></div></div></div>",
    '<p a="x"="y><template>">',
    '<body style="display:none">',
]


def render_page(nb: Any, **options: Any) -> str:
    """Return the page of ``nb``; ``options`` are those of :func:`nbconvert.render`."""
    return "".join(nbconvert.render(nb, **{"name": "x", "directory": None, **options}))


def display_cell(data: dict[str, Any], **metadata: Any) -> Any:
    """Return a cell that displays ``data``; ``metadata`` is the output's."""
    output = new_output("display_data", data=data, metadata=metadata)
    return new_code_cell("show()", outputs=[output])


def render(*cells: Any, directory: Path | None = None, **options: Any) -> str:
    """Return the page of a notebook with ``cells``."""
    nb = new_notebook(metadata=options.pop("metadata", {}))
    nb.cells.extend(cells)
    return render_page(nb, name="analysis", directory=directory, **options)


def soup(*cells: Any, **options: Any) -> BeautifulSoup:
    """Return the parsed page of a notebook with ``cells``."""
    return BeautifulSoup(render(*cells, **options), "html.parser")


def only(found: Tag, selector: str) -> Tag:
    """Return the first tag that ``selector`` finds; there must be one."""
    tag = found.select_one(selector)
    assert tag is not None, selector
    return tag


def stream_cell(*chunks: str) -> Any:
    """Return a cell that prints ``chunks``."""
    cell = new_code_cell("go()")
    stream = {"output_type": "stream", "name": "stdout"}  # new_output would check each for 0.5 ms
    cell.outputs = [nbformat.from_dict({**stream, "text": chunk}) for chunk in chunks]
    return cell
