"""Groups of HTML elements, as the HTML standard's "Parsing HTML documents" treats them alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection


def _named(words: str) -> frozenset[str]:
    return frozenset(words.split())


VOID: Final = _named(
    "area base basefont bgsound br col embed hr img input keygen link meta param source track wbr"
)
RAW_TEXT: Final = _named("script style iframe textarea title noembed noframes xmp")
PAGE: Final = _named("html head body frameset frame noscript")
# They act without a script (a refresh leaves the page, a preconnect connects), or hide content.
ACTING: Final = _named("meta link base template")
NOT_SUPPORTED: Final = _named("plaintext image mglyph malignmark annotation-xml")
RENAMED: Final = {"select": "div", "option": "div", "optgroup": "div"}
TABLE_SECTIONS: Final = _named("tbody thead tfoot")
TABLE_CELLS: Final = _named("td th")
TABLE_PARTS: Final = TABLE_SECTIONS | TABLE_CELLS | _named("caption colgroup col tr")
ROW_PARENTS: Final = TABLE_SECTIONS | {"table"}
SCOPE: Final = _named("applet caption table td th marquee object template")
HEADINGS: Final = _named("h1 h2 h3 h4 h5 h6")
CLOSE_P: Final = HEADINGS | _named(
    "address article aside blockquote center dd details dialog dir div dl dt fieldset figcaption "
    "figure footer form header hgroup hr li listing main menu nav ol p pre search section summary "
    "table ul"
)
# The elements that a start tag closes, and those that end the search for them.
LISTS: Final = _named("ul ol menu dir")
IMPLIED_ENDS: Final[dict[str, tuple[Collection[str], Collection[str]]]] = {
    "li": ({"li"}, SCOPE | LISTS),
    "dd": ({"dd", "dt"}, SCOPE | {"dl"}),
    "dt": ({"dd", "dt"}, SCOPE | {"dl"}),
    "a": ({"a"}, SCOPE),
    "nobr": ({"nobr"}, SCOPE),
    "button": ({"button"}, SCOPE),
}

# Namespaces, and the elements of SVG and MathML that contain HTML.
HTML: Final = "html"
INTEGRATION_POINTS: Final = {
    "svg": _named("desc title foreignobject"),
    "math": _named("mi mo mn ms mtext"),
}
# HTML elements that close the SVG or MathML around them.
BREAKOUT: Final = _named(
    "b big blockquote br center code dd div dl dt em embed font h1 h2 h3 h4 h5 h6 hr i img li "
    "listing menu nobr ol p pre ruby s small span strong strike sub sup table tt u ul var"
)
# They are shown as text in SVG and MathML.
NOT_FOREIGN: Final = (
    (RAW_TEXT - {"script", "style", "title"})
    | PAGE
    | ACTING
    | NOT_SUPPORTED - {"image"}
    | TABLE_PARTS
    | set(RENAMED)
    | {"svg:math", "math:svg", "math:title"}
)
