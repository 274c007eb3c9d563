"""Choose the format in which a page shows an output, or a note if it can show none."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stepkit.html import images, not_loaded
from stepkit.html.drawn_by_script import is_drawn_by_script
from stepkit.html.formulas import Formulas
from stepkit.html.sanitize import sanitize

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY: Final = "stepkit_page"  # for the page's template, in the copy of the notebook

_SCRIPT: Final = "application/javascript"
_WIDGET: Final = "application/vnd.jupyter.widget-view+json"
# nbconvert's order, and the images that it leaves out. Widgets need a server or a CDN.
_ORDER: Final = (
    _SCRIPT,
    "text/html",
    "text/markdown",
    "image/svg+xml",
    "text/vnd.mermaid",
    "text/latex",
    *(mime for mime in images.FORMATS if mime != "image/svg+xml"),
    "text/plain",
)
_BY_TEMPLATE: Final = {"image/svg+xml", "image/png", "image/jpeg"}

_NOTE_SCRIPT: Final = (
    "A script draws this output. It does not run on this page, unless it is made with "
    "--trust-scripts."
)
_NOTE_WIDGET: Final = "This was an interactive widget: a page shows only its text."
_NOTE_NOTHING: Final = "No form of this output can be shown on a page: "

_SIZE: Final = re.compile(r"\d+(?:\.\d+)?(?:px|%|em)?")

_MAX_CAPTION: Final = 200  # characters of a text that describes the image beside it


@dataclass(frozen=True, kw_only=True)
class Place:
    """The cell and number of an output, the cell's own description of its images, and the page."""

    cell: str
    output: int
    alt: str
    trusted: bool
    formulas: Formulas


def prepare_output(output: Any, place: Place) -> Any:
    """Return a copy of the output in the one format that the page shows; streams stay as they are.

    Raises :class:`ValueError` for data that is not text.
    """
    if output["output_type"] == "stream":
        return output
    copy = type(output)(output)
    if output["output_type"] == "error":
        summary = f"{output.get('ename', 'Error')}: {output.get('evalue', '')}".rstrip(": ")
        copy["traceback"] = output.get("traceback") or [summary]
        return copy
    data = output["data"]
    alt = _describe(output, place)
    mime, note = _choose_format(data, trusted=place.trusted)
    copy["data"] = type(output)(_render(mime, data, alt, place) if mime else {})
    copy["metadata"] = type(output)(_filter_metadata(output.get("metadata", {})))
    copy[KEY] = {"alt": alt, "note": note}
    return copy


def _filter_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what templates read of an output's metadata; they quote neither width nor height."""

    def is_safe(name: str, value: Any) -> bool:
        return name not in {"width", "height"} or bool(_SIZE.fullmatch(str(value)))

    kept: dict[str, Any] = {}
    for name, value in metadata.items():
        if name == "filenames":  # images are in the page
            continue
        if name in images.FORMATS and isinstance(value, dict):
            kept[name] = {key: one for key, one in value.items() if is_safe(key, one)}
        elif is_safe(name, value):
            kept[name] = value
    return kept


def _choose_format(data: Mapping[str, Any], *, trusted: bool) -> tuple[str | None, str]:
    """Return the MIME type to show, None for nothing, and a note for the reader."""
    formats = [mime for mime in _ORDER if mime in data]
    if wrong := [mime for mime in formats if not isinstance(data[mime], str)]:
        raise ValueError(f"an output's {wrong[0]} is not text")
    note = _NOTE_WIDGET if _WIDGET in data else ""
    if not trusted:
        scripts = {_SCRIPT}
        if is_drawn_by_script(data.get("text/html", "")):
            scripts.add("text/html")
        if scripts & set(formats):
            # The text beside a script is the name of a class, or all the data of a plot.
            formats = [mime for mime in formats if mime not in scripts | {"text/plain"}]
            return (formats[0], "") if formats else (None, _NOTE_SCRIPT)
    if not formats:
        named = ", ".join(sorted(data))
        return None, note or (_NOTE_NOTHING + named if named else "")
    return formats[0], note


def _render(mime: str, data: Mapping[str, Any], alt: str, place: Place) -> dict[str, Any]:
    """Return the data that a template shows, as its MIME type and content."""
    content = data[mime]
    drawn = [one for one in _ORDER if one in data and one in images.FORMATS]
    if mime == "text/html":
        clean = sanitize(content, alt=alt, trusted=place.trusted)
        if drawn and not_loaded.ONLY_NOTE.fullmatch(clean):  # a video's still, say
            url = images.data_url(drawn[0], data[drawn[0]])
            clean += f'<p><img src="{url}" alt="{html.escape(alt)}"></p>' if url else ""
        return {mime: place.formulas.set_html(clean)}
    if mime == "text/latex":
        shown, complete = place.formulas.set_latex(content)
        return (
            {"text/html": shown} if complete or not drawn else _render(drawn[0], data, alt, place)
        )
    if mime == "text/vnd.mermaid":
        return {"text/html": f"<pre><code>{html.escape(content)}</code></pre>"}
    if mime not in images.FORMATS or mime in _BY_TEMPLATE:
        return {mime: content}
    url = images.data_url(mime, content)
    return {"text/html": f'<img src="{url}" alt="{html.escape(alt)}">'} if url else {}


def _describe(output: Any, place: Place) -> str:
    """Return the author's description of an image, or a text that says it has none."""
    metadata = output.get("metadata", {})
    given = [metadata.get(mime, {}) for mime in images.FORMATS]
    texts = [one.get("alt") for one in (*given, metadata) if isinstance(one, dict)]
    for text in (*texts, place.alt):
        if isinstance(text, str) and text.strip():
            return text
    text = output["data"].get("text/plain")
    text = text.strip() if isinstance(text, str) else ""
    is_repr = re.fullmatch(r"<.*>", text)
    if "\n" not in text and len(text) <= _MAX_CAPTION and not is_repr and text.strip("'\""):
        return text.strip("'\"")
    return f"Output {place.output} of {place.cell}: no description"
