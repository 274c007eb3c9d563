"""Notes, with the address, in place of what a fragment would load from elsewhere.

A frame whose content is in the fragment is shown, in a sandbox.
"""

from __future__ import annotations

import base64
import html
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, unquote_to_bytes

from stepkit.formats.shorten import shorten
from stepkit.html.drawn_by_script import is_drawn_by_script

if TYPE_CHECKING:
    from collections.abc import Mapping

# What an element is called, and its attribute with the address.
OBJECTS: Final = {
    "video": ("Video", "src"),
    "audio": ("Audio", "src"),
    "source": ("Recording", "src"),
    "embed": ("Object", "src"),
    "object": ("Object", "data"),
}

# A fragment that shows a note of this module and nothing else.
ONLY_NOTE: Final = re.compile(
    r'\s*+<span class="stepkit-not-loaded">[^<]*+(?:<a [^<]*+</a>)?+</span>\s*+'
)

_MAX_SHOWN: Final = 120  # characters of an address or a description

_ATTRIBUTE: Final = re.compile(
    r"""(?<=[\s/"'])([^\s"'<>/=]++)(?:\s*+=\s*+(?:"([^"]*)"|'([^']*)'|([^\s"'=<>`]+)))?"""
)
_EMBEDDED: Final = re.compile(r"""\ssrc\s*+=\s*+["']?+\s*+(?:data|blob):""", re.IGNORECASE)
_SCHEME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_CONTROL: Final = re.compile(r"[\x00-\x1f]+")
_KEPT: Final = ("width", "height", "style", "class", "id")  # of a frame that is shown


def note_image(tag: str, *, default_alt: str, in_link: bool) -> str:
    """Return the note for the image that ``tag`` would load, or ``""`` if it loads nothing.

    ``default_alt`` is the description that images without one were given.
    """
    if _EMBEDDED.search(tag):
        return ""
    attributes = _read_attributes(tag)
    address = attributes.get("src", "")
    alt = attributes.get("alt", "").strip()
    return _note("Image", address, "" if alt == default_alt else alt, in_link=in_link)


def note_object(tag: str, name: str, *, in_link: bool) -> str:
    """Return the note for what an element of :data:`OBJECTS` would load, or ``""`` for nothing."""
    kind, attribute = OBJECTS[name]
    if kind != "Object" and _EMBEDDED.search(tag):
        return ""
    return _note(kind, _read_attributes(tag).get(attribute, ""), "", in_link=in_link)


def show_frame(tag: str, *, trusted: bool, in_link: bool) -> str:
    """Return the frame of an ``<iframe>`` tag if its content is in it, or a note."""
    attributes = _read_attributes(tag)
    content, address = _read_content(attributes)
    title = attributes.get("title", "").strip()
    if content is None:
        note = _note("Frame", address, title, in_link=in_link)
        return note or _wrap("Frame without content.")
    if not trusted and is_drawn_by_script(content):
        why = "It does not run on this page, unless it is made with --trust-scripts."
        return _wrap(f"A script draws this frame. {why}")
    sandbox = "allow-popups allow-popups-to-escape-sandbox" + " allow-scripts" * trusted
    kept = {"title": title or "Frame of an output", "sandbox": sandbox, "srcdoc": content}
    kept |= {name: attributes[name] for name in _KEPT if name in attributes}
    written = "".join(f' {name}="{html.escape(value)}"' for name, value in kept.items())
    return f"<iframe{written}></iframe>"


def _read_content(attributes: Mapping[str, str]) -> tuple[str | None, str]:
    """Return the HTML that a frame holds, None if it holds none, and what it shows instead."""
    address = _CONTROL.sub("", attributes.get("src", "")).strip()
    if "srcdoc" in attributes:
        return attributes["srcdoc"], ""
    if "data-html" in attributes:  # folium's, which a script writes into the frame
        return unquote(attributes["data-html"]), ""
    if not address.lower().startswith("data:"):
        return None, address
    header, _, body = address[len("data:") :].partition(",")
    kind, *parameters = [one.strip().lower() for one in header.split(";")]
    if kind != "text/html":
        return None, address
    try:
        content = unquote_to_bytes(body)
        if "base64" in parameters:
            content = base64.b64decode(content)
        named = [one.partition("=")[2] for one in parameters if one.startswith("charset=")]
        return content.decode(named[0] if named else "utf-8", "replace"), ""
    except (ValueError, LookupError):  # neither base64 nor a known character set
        return None, address


def _note(kind: str, address: str, description: str, *, in_link: bool) -> str:
    address = _CONTROL.sub("", address).strip()
    if not address or address.lower().startswith(("blob:", "about:")):
        return ""
    if address.lower().startswith("data:"):
        address = address.partition(",")[0]
    shown = html.escape(shorten(address, _MAX_SHOWN))
    described = html.escape(shorten(description, _MAX_SHOWN))
    whole = html.escape(address)
    if in_link:
        return _wrap(f"{described or shown} ({kind.lower()} not loaded)", title=whole)
    is_link = not _SCHEME.match(address) or address.lower().startswith(("http:", "https:"))
    if address.startswith("//"):
        whole = f"https:{whole}"
    link = f'<a href="{whole}">{shown}</a>' if is_link else shown
    return _wrap(f"{kind} not loaded: {described + ', ' if described else ''}{link}")


def _wrap(markup: str, *, title: str = "") -> str:
    shown = f' title="{title}"' if title else ""
    return f'<span class="stepkit-not-loaded"{shown}>{markup}</span>'


def _read_attributes(tag: str) -> dict[str, str]:
    """Return the attributes of a start tag; names are in lower case, and the first one counts."""
    found: dict[str, str] = {}
    for name, *values in _ATTRIBUTE.findall(tag):
        found.setdefault(name.lower(), html.unescape("".join(values)))
    return found
