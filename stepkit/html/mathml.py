"""LaTeX formulas as MathML, which a browser shows without a script."""

from __future__ import annotations

import html
import re
from typing import Any, Final

# A longer formula is not written by hand, and latex2mathml recurses as deep as a formula nests.
_MAX_FORMULA: Final = 5_000
_MAX_TEXT: Final = 20_000

_ENVIRONMENTS: Final = re.compile(
    r"(equation|align|aligned|alignat|gather|gathered|multline|eqnarray|split|cases|array|"
    r"[pbBvV]?matrix|smallmatrix)\*?"
)
_UNSAFE: Final = {"href", "style", "src", "xmlns"}  # attributes that \href and \style set
_DELIMITED: Final = re.compile(
    r"\$\$(?P<a>.+?)\$\$|\\\[(?P<b>.+?)\\\]|(?P<c>\\begin\{(?P<env>[a-z]+\*?)\}.+?\\end\{(?P=env)\})"
    r"|(?<!\\)\$(?P<d>[^$]+)\$|\\\((?P<e>.+?)\\\)",
    re.DOTALL,
)


def convert(latex: str, *, display: bool) -> str | None:
    """Return the formula as MathML, or None when it cannot be converted."""
    from latex2mathml import converter, exceptions

    if len(latex) > _MAX_FORMULA or not latex.strip():
        return None
    if not all(map(_ENVIRONMENTS.fullmatch, re.findall(r"\\begin\{([^{}]*)\}", latex))):
        return None
    # Its exceptions have no base class, and Python's own pass through its parser.
    own = [e for e in vars(exceptions).values() if isinstance(e, type) and issubclass(e, Exception)]
    others = (ArithmeticError, AttributeError, LookupError, RecursionError, StopIteration)
    errors: tuple[type[Exception], ...] = (*own, *others, TypeError, ValueError)
    try:
        tree = converter.convert_to_element(latex, display="block" if display else "inline")
        return _write_mathml(tree)
    except errors:
        return None


def show_source(latex: str) -> str:
    """Return HTML that shows the LaTeX of a formula."""
    return f'<code class="stepkit-latex">{html.escape(latex)}</code>'


def convert_text(text: str) -> tuple[str, bool]:
    """Return the HTML of a text with formulas, and whether all of them became MathML."""
    if len(text) > _MAX_TEXT:
        return show_source(text), False
    pieces: list[str] = []
    complete, end = True, 0
    for match in _DELIMITED.finditer(text):
        if body := match["d"] or match["e"]:
            converted = convert(body, display=body.lstrip().startswith(r"\displaystyle"))
        else:
            converted = convert(match["a"] or match["b"] or match["c"], display=True)
        pieces += [html.escape(text[end : match.start()]), converted or show_source(match[0])]
        complete = complete and converted is not None
        end = match.end()
    rest = text[end:]
    if end == 0 and rest.strip():  # without delimiters, all of the text is a formula's source
        return show_source(rest), False
    return "".join([*pieces, html.escape(rest)]), complete


def _write_mathml(tree: Any) -> str:
    """Serialize the elements; latex2mathml's own function would unescape the formula's text."""
    from xml.etree import ElementTree as ET

    for element in tree.iter():
        text = html.unescape(element.text or "")
        if re.match(r"\\[a-zA-Z]", text) and element.tag != "mtext":
            raise ValueError(f"unknown command {text}")
        element.text = text
        for name in [n for n in element.attrib if n in _UNSAFE or n.startswith("on")]:
            del element.attrib[name]
    return ET.tostring(tree, encoding="unicode", short_empty_elements=False)
