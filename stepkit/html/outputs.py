"""The one form in which a page shows an output, and what to say of a form that it cannot show."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stepkit.html import fragments, images, mathml

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY: Final = "stepkit_page"  # what the page's template is told, in the copy of the notebook

_SCRIPT: Final = "application/javascript"
_WIDGET: Final = "application/vnd.jupyter.widget-view+json"
# nbconvert's order, with the images that it leaves out; widgets need a server or a CDN.
_ORDER: Final = (
    _SCRIPT,
    "text/html",
    "text/markdown",
    "image/svg+xml",
    "text/vnd.mermaid",
    "text/latex",
    *(form for form in images.FORMS if form != "image/svg+xml"),
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

_CAPTION_LENGTH: Final = 200


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an output stands: the name of its cell, and the cell's own description of images."""

    cell: str
    output: int
    alt: str
    trusted: bool


def shown(output: Any, place: Place) -> Any:
    """Return the output as the page shows it; the notebook's own stays as it is."""
    if output["output_type"] == "stream":
        return output
    copy = type(output)(output)
    if output["output_type"] == "error":
        copy["traceback"] = output.get("traceback") or [_error_line(output)]
        return copy
    data = output["data"]
    alt = _alt(output, place)
    form, note = _chosen(data, trusted=place.trusted)
    copy["data"] = type(output)(_rendered(form, data, alt, place)) if form else type(output)()
    copy["metadata"] = type(output)(_sized(output.get("metadata", {})))
    copy[KEY] = {"alt": alt, "note": note}
    return copy


def _sized(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what templates read of an output's metadata; they quote neither width nor height."""
    kept: dict[str, Any] = {}
    for form, told in metadata.items():
        if form == "filenames":  # images are in the page
            continue
        if form in images.FORMS and isinstance(told, dict):
            kept[form] = {
                name: value
                for name, value in told.items()
                if name not in {"width", "height"} or _SIZE.fullmatch(str(value))
            }
        elif form not in {"width", "height"} or _SIZE.fullmatch(str(told)):
            kept[form] = told
    return kept


def _error_line(output: Any) -> str:
    return f"{output.get('ename', 'Error')}: {output.get('evalue', '')}".rstrip(": ")


def _chosen(data: Mapping[str, Any], *, trusted: bool) -> tuple[str | None, str]:
    """Return the form to show, None for nothing, and a note for the reader."""
    forms = [form for form in _ORDER if form in data]
    if wrong := [form for form in forms if not isinstance(data[form], str)]:
        raise ValueError(f"an output's {wrong[0]} is no text")
    note = _NOTE_WIDGET if _WIDGET in data else ""
    if not trusted:
        silent = [form for form in forms if _is_script(form, data[form])]
        forms = [form for form in forms if form not in silent]
        if silent:
            note = _NOTE_SCRIPT
            # The text beside a script is the name of a class, or all the data of a plot.
            forms = [form for form in forms if form != "text/plain"]
            return (forms[0], "") if forms else (None, note)
    if not forms:
        named = ", ".join(sorted(data))
        return None, note or (_NOTE_NOTHING + named if named else "")
    return _best(forms, data), note


def _is_script(form: str, content: Any) -> bool:
    return form == _SCRIPT or (form == "text/html" and fragments.drawn_by_script(content))


def _best(forms: list[str], data: Mapping[str, Any]) -> str:
    """Prefer an image of a formula to its source."""
    drawn = [form for form in forms if form in images.FORMS]
    if forms[0] == "text/latex" and drawn and not mathml.in_text(data["text/latex"])[1]:
        return drawn[0]
    return forms[0]


def _rendered(form: str, data: Mapping[str, Any], alt: str, place: Place) -> dict[str, Any]:
    content = data[form]
    match form:
        case "text/html":
            return {form: fragments.settled(content, alt=alt, trusted=place.trusted)}
        case "text/latex":
            return {"text/html": mathml.in_text(content)[0]}
        case "text/vnd.mermaid":
            return {"text/html": f"<pre><code>{html.escape(content)}</code></pre>"}
        case _:
            return _image(form, content, alt)


def _image(form: str, content: Any, alt: str) -> dict[str, Any]:
    """Give a template those images that it knows, and the others as HTML."""
    if form not in images.FORMS or form in _BY_TEMPLATE:
        return {form: content}
    url = images.data_url(form, content)
    return {"text/html": f'<img src="{url}" alt="{html.escape(alt)}">'} if url else {}


def _alt(output: Any, place: Place) -> str:
    """Return what the author says an image shows, or that nobody said it."""
    metadata = output.get("metadata", {})
    given = [metadata.get(form, {}) for form in images.FORMS]
    texts = [one.get("alt") for one in (*given, metadata) if isinstance(one, dict)]
    named = [text for text in (*texts, place.alt) if isinstance(text, str) and text.strip()]
    return named[0] if named else _caption(output["data"]) or _nobody(place)


def _caption(data: Mapping[str, Any]) -> str:
    """Return the text beside an image, unless it is the repr of an object."""
    text = data.get("text/plain")
    text = text.strip() if isinstance(text, str) else ""
    if len(text) > _CAPTION_LENGTH or "\n" in text or re.fullmatch(r"<.*>", text):
        return ""
    return text.strip("'\"")


def _nobody(place: Place) -> str:
    return f"Output {place.output} of {place.cell}: no description"
