"""LaTeX formulas as MathML, which a browser shows without any script."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Longer ones are data, and latex2mathml nests calls as deep as the formula goes.
_LONGEST: Final = 5_000
_LONGEST_TEXT: Final = 20_000

_ENVIRONMENTS: Final = re.compile(
    r"(equation|align|aligned|alignat|gather|gathered|multline|eqnarray|split|cases|array|"
    r"[pbBvV]?matrix|smallmatrix)\*?"
)
_UNSAFE: Final = {"href", "style", "src", "xmlns"}  # a formula can set them: \href, \style
_DELIMITED: Final = re.compile(
    r"\$\$(?P<a>.+?)\$\$|\\\[(?P<b>.+?)\\\]|(?P<c>\\begin\{(?P<env>[a-z]+\*?)\}.+?\\end\{(?P=env)\})"
    r"|(?<!\\)\$(?P<d>[^$]+)\$|\\\((?P<e>.+?)\\\)",
    re.DOTALL,
)


def mathml(latex: str, *, display: bool) -> str | None:
    """Return the formula as MathML, or None when it cannot be converted."""
    if len(latex) > _LONGEST or not latex.strip():
        return None
    if not all(map(_ENVIRONMENTS.fullmatch, re.findall(r"\\begin\{([^{}]*)\}", latex))):
        return None
    convert, errors = _converter()
    try:
        tree = convert(latex, display="block" if display else "inline")
        return _markup(tree)
    except errors:
        return None


def environment(name: str, body: str) -> str | None:
    r"""Return ``\begin{name}body\end{name}`` as MathML, or None when it cannot be converted."""
    return mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", display=True)


def source(latex: str) -> str:
    """Return the markup of a formula that stays as it was written."""
    return f'<code class="stepkit-latex">{html.escape(latex)}</code>'


def in_text(text: str) -> tuple[str, bool]:
    """Return the markup of a text with formulas, and whether all of them became MathML."""
    if len(text) > _LONGEST_TEXT:
        return source(text), False
    whole = True
    parts: list[str] = []
    for part, converted in _parts(text):
        parts.append(part)
        whole = whole and converted
    return "".join(parts), whole


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    end = 0
    for match in _DELIMITED.finditer(text):
        yield html.escape(text[end : match.start()]), True
        end = match.end()
        converted = _delimited(match)
        yield converted or source(match[0]), converted is not None
    rest = text[end:]
    if end == 0 and rest.strip():  # no delimiter at all: the whole is source
        yield source(rest), False
    else:
        yield html.escape(rest), True


def _delimited(match: re.Match[str]) -> str | None:
    if match["env"]:
        return mathml(match["c"], display=True)
    if match["d"] or match["e"]:
        body = match["d"] or match["e"]
        return mathml(body, display=body.lstrip().startswith(r"\displaystyle"))
    return mathml(match["a"] or match["b"], display=True)


def _converter() -> tuple[Callable[..., Any], tuple[type[Exception], ...]]:
    from latex2mathml import converter, exceptions

    own = [e for e in vars(exceptions).values() if isinstance(e, type) and issubclass(e, Exception)]
    # It has no base class of its own, and lets what its parser meets on the way out.
    others = (ArithmeticError, AttributeError, LookupError, RecursionError, StopIteration)
    return converter.convert_to_element, (*own, *others, TypeError, ValueError)


def _markup(tree: Any) -> str:
    """Write the elements ourselves: latex2mathml's own text unescapes what the formula says."""
    from xml.etree import ElementTree as ET

    for element in tree.iter():
        text = html.unescape(element.text or "")
        if re.match(r"\\[a-zA-Z]", text) and element.tag != "mtext":
            raise ValueError(f"unknown command {text}")
        element.text = text
        for name in [n for n in element.attrib if n in _UNSAFE or n.startswith("on")]:
            del element.attrib[name]
    return ET.tostring(tree, encoding="unicode", short_empty_elements=False)
