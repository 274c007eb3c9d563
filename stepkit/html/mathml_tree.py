"""Mend latex2mathml's elements for what browsers show.

MathML Core has no alignment of columns, almost no variants of letters, and no named widths.
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from stepkit.html import math_letters
from stepkit.html.equation_numbers import MARK
from stepkit.html.tex_macros import TexError

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKENS: Final = {"mi", "mn", "mo", "mtext"}
_ATTRIBUTES: Final = {
    "display", "xmlns", "displaystyle", "scriptlevel", "mathcolor", "mathbackground", "mathsize",
    "accent", "accentunder", "stretchy", "fence", "form", "separator", "lspace", "rspace",
    "minsize", "maxsize", "largeop", "movablelimits", "linethickness", "notation", "width",
    "height", "depth", "voffset",
}  # fmt: skip
_WIDTHS: Final = {
    "thinmathspace": "0.167em",
    "mediummathspace": "0.222em",
    "thickmathspace": "0.278em",
    "negativethinmathspace": "-0.167em",
    "negativemediummathspace": "-0.222em",
    "negativethickmathspace": "-0.278em",
}
_SYNTAX: Final = {"&", "{", "}", "#", "$", "^", "_", "\\"}
# latex2mathml takes these for identifiers, around which a browser leaves no space, ...
_OPERATORS: Final = frozenset(
    "\u00b1\u00b7\u2020\u2021\u2022\u2026\u25b3\u25b7\u25b6\u25bd\u25c0\u25c1\u25ef\u2306\u2322\u2323"
    "\u27c2\u27f5\u27f6\u27f7\u27f8\u27f9\u27fa\u27fc\u2933\u29f5~:\u03f6"
) | frozenset(map(chr, range(0x2A00, 0x2B00)))
# ... these for operators, around which it leaves some, and these brackets do not grow.
_IDENTIFIERS: Final = frozenset(
    "\u2200\u2201\u2202\u2203\u2204\u2205\u2207\u221e\u2220\u2221\u2222\u22a4\u22a5\u00a7"
)
_BRACKETS: Final = frozenset(
    "|{}[]\u2016\u2308\u2309\u230a\u230b\u231c\u231d\u231e\u231f\u27e8\u27e9\u27ee\u27ef"
)
_LOOKALIKES: Final = {
    "-": "\u2212",
    "~": "\u223c",
    "*": "\u2217",
    "\u29f5": "\u2216",
    "\u00b7": "\u22c5",
}
_NOT: Final = "\u29f8"
_LENGTH: Final = re.compile(r"[+-]?[\d.]+(?:em|ex|px|pt|mm|cm|in|pc|%)?")
_MU: Final = re.compile(r"(-?[\d.]+)mu")
_LARGE: Final = set("\u2211\u220f\u2210\u22c0\u22c1\u22c2\u22c3\u2a00\u2a01\u2a02\u2a04\u2a06")
_LIMITS: Final = {"msub": "munder", "msup": "mover", "msubsup": "munderover"}
_CHILDREN: Final = {"msub": 2, "msup": 2, "msubsup": 3, "munder": 2, "mover": 2, "munderover": 3}
_SCRIPTS: Final = {*_LIMITS, *_LIMITS.values()}
# Elements that show their children one after the other.
_ROWS: Final = {"mrow", "mtd", "mstyle", "math", "msqrt", "mpadded", "mphantom", "menclose"}
_THIN: Final = "0.167em"


def finish(tree: Any) -> None:
    """Change the elements in place; raise :class:`TexError` if one shows TeX's own syntax."""
    groups = [element for element in tree.iter() if len(element)]
    texts = {_finish_token(element) for element in tree.iter()}
    named = any(len(text) > 1 for text in texts)
    for element in groups:
        if element.tag in _TOKENS:
            element.tag, element.text = "mrow", None
            element.attrib.clear()
        if len(element) > _CHILDREN.get(element.tag, len(element)):
            _group_base(element)
        if element.tag in _LIMITS and _takes_limits(element[0]):
            element.tag = _LIMITS[element.tag]
        if element.tag == "mtable":
            _finish_table(element)
        elif _NOT in texts:
            _negate(element)
        if named and len(element) > 1 and element.tag in _ROWS:
            _space_functions(element)
    if any(text[:1] == MARK for text in texts):
        _place_number(tree)


def _finish_token(element: Any) -> str:
    """Change the element by itself, and return its text."""
    attributes = tuple(element.attrib.items())
    element.tag, text, changed = _finish_element(element.tag, element.text or "", attributes)
    element.text = text
    if attributes != changed:
        element.attrib.clear()
        element.attrib.update(changed)
    return text


def write(element: Any, out: list[str]) -> None:
    """Append the element and what is in it as text; twice as fast as the standard library."""
    tag, text = element.tag, element.text or ""
    if not text.isalnum():
        text = html.escape(text, quote=False)
    attributes = "".join([f' {name}="{html.escape(value)}"' for name, value in element.items()])
    if not len(element):
        out.append(f"<{tag}{attributes}>{text}</{tag}>")
        return
    out.append(f"<{tag}{attributes}>{text}")
    for child in element:
        write(child, out)
    out.append(f"</{tag}>")


@lru_cache(maxsize=4096)
def _finish_element(
    tag: str, raw: str, attributes: tuple[tuple[str, str], ...]
) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """Return the name, the text and the attributes that an element gets by itself."""
    from xml.etree.ElementTree import Element

    element = Element(tag, dict(attributes))
    if tag == "mspace" and "linebreak" in element.attrib:
        raise TexError(r"\\ outside of rows is not supported")
    if tag in _TOKENS and raw:
        _finish_text(element, raw)
    _finish_attributes(element)
    return element.tag, element.text or "", tuple(element.attrib.items())


def _finish_text(element: Any, raw: str) -> None:
    """Replace entities and variants of letters by characters."""
    text = html.unescape(raw)
    if element.tag != "mtext":
        text = text[1:] if text in {r"\{", r"\}", r"\|"} else text
        _refuse_syntax(raw, text)
    element.text = _change_variant(element, raw, text)
    if element.tag == "mi" and text in _BRACKETS:
        element.tag = "mo"
        element.attrib.update(stretchy="false", fence="true")
    elif element.tag == "mi" and text in _OPERATORS:
        element.tag, element.text = "mo", _LOOKALIKES.get(text, text)
    elif element.tag == "mo" and text in _IDENTIFIERS:
        element.tag = "mi"
        element.attrib.clear()
    elif element.tag == "mo" and "accent" not in element.attrib:
        element.text = text if "stretchy" in element.attrib else _LOOKALIKES.get(text, text)
        if len(text) > 1 and text.replace("\u00a0", "").isalpha():
            _make_function(element)


def _refuse_syntax(raw: str, text: str) -> None:
    if text[0] == "\\" and text[1:2].isalpha():
        raise TexError(f"{text} is not known")
    if raw in _SYNTAX:
        raise TexError(f"its {raw} cannot be read")


def _change_variant(element: Any, raw: str, text: str) -> str:
    """Return the text of a token in bold, script and the like."""
    variant = element.attrib.pop("mathvariant", "")
    if element.tag == "mtext":
        if style := math_letters.STYLES.get(variant):
            element.set("style", style)
    elif (variant == "normal" or _is_upright(raw)) and len(text) == 1:
        element.set("mathvariant", "normal")
    elif variant:
        return math_letters.change(text, variant)
    return text


def _is_upright(raw: str) -> bool:
    r"""Return whether latex2mathml wrote an ASCII letter as an entity, as it does for \mathrm."""
    return raw.startswith("&#x000") and html.unescape(raw).isalpha()


def _make_function(element: Any) -> None:
    """Give the name of an operator, such as lim, the space that TeX gives it."""
    if element.get("movablelimits") or element.text in {"lim", "sup", "inf", "max", "min"}:
        element.attrib.update(movablelimits="true", lspace="0", rspace=_THIN)
    else:
        element.tag = "mi"
        element.attrib.clear()


def _finish_attributes(element: Any) -> None:
    align = element.attrib.pop("columnalign", "")
    if align:
        element.set("style", f"text-align:{align}")
    for name in [n for n in element.attrib if n not in _ATTRIBUTES | {"style", "mathvariant"}]:
        if name not in {"columnlines", "rowlines"}:
            del element.attrib[name]
    for name in ("width", "height", "depth", "voffset", "lspace", "rspace"):
        value = _WIDTHS.get(element.get(name, ""), element.get(name))
        if value is None:
            continue
        if mu := _MU.fullmatch(value):
            value = f"{float(mu[1]) / 18:.3f}em"
        if _LENGTH.fullmatch(value):
            element.set(name, value)
        else:
            del element.attrib[name]


def _takes_limits(base: Any) -> bool:
    return base.tag == "mo" and (base.text in _LARGE or base.get("movablelimits") == "true")


def _group_base(script: Any) -> None:
    """Make one element of a base; latex2mathml writes a matrix as three: brackets and table."""
    count = len(script) - _CHILDREN[script.tag] + 1
    base = script.makeelement("mrow", {})
    base.extend(script[:count])
    script[:count] = [base]


def _negate(row: Any) -> None:
    r"""Strike the relation after a \not; latex2mathml writes a bar before it."""
    for one, other in list(pairwise(row)):
        if one.tag == "mpadded" and "".join(one.itertext()) == _NOT and other.tag == "mo":
            row.remove(one)
            other.text = unicodedata.normalize("NFC", f"{other.text}\u0338")


def _is_function(element: Any) -> bool:
    if element.tag in _SCRIPTS and len(element):
        element = element[0]
    return element.tag == "mi" and len(element.text or "") > 1 and element.text.isalpha()


def _space_functions(row: Any) -> None:
    """Insert the thin spaces around sin, log and the like."""
    from xml.etree.ElementTree import Element

    places = [
        place
        for place, (one, other) in enumerate(pairwise(row), 1)
        if (_is_function(one) and other.tag not in {"mo", "mspace", "mtext"})
        or (_is_function(other) and one.tag not in {"mo", "mspace", "mtext"})
    ]
    for place in reversed(places):
        row.insert(place, Element("mspace", {"width": _THIN}))


def _finish_table(table: Any) -> None:
    """Draw the lines of a table, and close up the columns of aligned equations."""
    columns = table.attrib.pop("columnlines", "").split()
    rows = table.attrib.pop("rowlines", "").split()
    aligned = table.get("displaystyle") == "true"
    for number, row in enumerate(table):
        for place, cell in enumerate(row):
            styles = [cell.get("style", "")]
            if place < len(columns) and columns[place] != "none":
                styles.append(f"border-right:1px {columns[place]}")
            if number < len(rows) and rows[number] != "none":
                styles.append(f"border-bottom:1px {rows[number]}")
            if aligned:
                styles.append("padding-left:0" if place % 2 else "padding-right:0")
            if text := ";".join(filter(None, styles)):
                cell.set("style", text)


def _place_number(tree: Any) -> None:
    """Give a number its anchor, and a column of its table or a place at the end."""
    for parent, number in list(_find_numbers(tree)):
        _, anchor, text = number.text.split(MARK)
        number.text = text
        if anchor:
            number.set("id", anchor)
        number.set("style", "padding-left:2em")
        if parent.tag == "mtd":
            row = next(row for row in tree.iter("mtr") if parent in list(row))
            parent.remove(number)
            cell = row.makeelement("mtd", {})
            cell.append(number)
            row.append(cell)


def _find_numbers(tree: Any) -> Iterator[tuple[Any, Any]]:
    for parent in tree.iter():
        for child in parent:
            if child.tag == "mtext" and (child.text or "").startswith(MARK):
                yield parent, child
