"""How a browser's parser tells elements apart: by the HTML standard, "Parsing HTML documents"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection


def _named(words: str) -> frozenset[str]:
    return frozenset(words.split())


VOID: Final = _named(
    "area base basefont bgsound br col embed hr img input keygen link meta param source track wbr"
)
RAW: Final = _named("script style iframe textarea title noembed noframes xmp")
OF_PAGE: Final = _named("html head body frameset frame noscript")
# They act without a script (a refresh leaves the page, a link connects), or hide their content.
ACTING: Final = _named("meta link base template")
NEVER: Final = _named("plaintext image mglyph malignmark annotation-xml")
RENAMED: Final = {"select": "div", "option": "div", "optgroup": "div"}
SECTIONS: Final = _named("tbody thead tfoot")
CELLS: Final = _named("td th")
PARTS: Final = SECTIONS | CELLS | _named("caption colgroup col tr")
ROWS_IN: Final = SECTIONS | {"table"}
BOUNDS: Final = _named("applet caption table td th marquee object template")
HEADINGS: Final = _named("h1 h2 h3 h4 h5 h6")
CLOSE_P: Final = HEADINGS | _named(
    "address article aside blockquote center dd details dialog dir div dl dt fieldset figcaption "
    "figure footer form header hgroup hr li listing main menu nav ol p pre search section summary "
    "table ul"
)
# What a start tag ends, and where the search for it stops.
LISTS: Final = _named("ul ol menu dir")
ENDS: Final[dict[str, tuple[Collection[str], Collection[str]]]] = {
    "li": ({"li"}, BOUNDS | LISTS),
    "dd": ({"dd", "dt"}, BOUNDS | {"dl"}),
    "dt": ({"dd", "dt"}, BOUNDS | {"dl"}),
    "a": ({"a"}, BOUNDS),
    "nobr": ({"nobr"}, BOUNDS),
    "button": ({"button"}, BOUNDS),
}

HTML: Final = "html"
INTEGRATING: Final = {
    "svg": _named("desc title foreignobject"),
    "math": _named("mi mo mn ms mtext"),
}
# HTML that ends a drawing or a formula around it.
BREAKOUT: Final = _named(
    "b big blockquote br center code dd div dl dt em embed font h1 h2 h3 h4 h5 h6 hr i img li "
    "listing menu nobr ol p pre ruby s small span strong strike sub sup table tt u ul var"
)
NOT_DRAWN: Final = (
    (RAW - {"script", "style", "title"})
    | OF_PAGE
    | ACTING
    | NEVER - {"image"}
    | PARTS
    | set(RENAMED)
    | {"svg:math", "math:svg", "math:title"}
)
