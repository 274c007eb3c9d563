"""Render a notebook's page, and HTML that could break the page around it."""

from __future__ import annotations

from typing import Any

from nbformat.v4 import new_code_cell, new_output

from stepkit.html import nbconvert

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
