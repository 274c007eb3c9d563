"""What a reader sees of the outputs of a cell, as parts that can be compared."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from stepkit.formats.plain_text import plain
from stepkit.golden import html_tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepkit.golden.limits import Limits

_IMAGES: Final = ("image/png", "image/jpeg", "image/gif", "image/webp")
# The richest that an output has is compared: the others say the same in less detail.
_RICHEST: Final = (*_IMAGES, "text/html", "image/svg+xml", "text/markdown", "text/latex")
_FILES: Final = ("application/pdf", "audio/", "video/")
_DATA: Final = re.compile(
    r"""\bsrc\s*=\s*["']?data:(?P<type>[\w/+.-]+);base64,(?P<data>[\w+/=]+)"""
)
_NOT_COMPARED: Final = "application/vnd.jupyter.widget-view+json"  # the number of a widget
_STREAMS: Final = {"none": (), "stdout": ("stdout",), "all": ("stdout", "stderr")}


@dataclass
class Part:
    """One output, or all that a stream printed; ``value`` of an image is base64.

    ``name`` says what it is: a stream, the media type of an output, or ``error``.
    """

    kind: Literal["stream", "text", "html", "image"]
    name: str
    value: str


def read(outputs: Sequence[Any], limits: Limits) -> list[Part]:
    """Return the parts of ``outputs``: streams first, and then the others in their order."""
    printed: dict[str, list[str]] = {name: [] for name in _STREAMS[limits.streams]}
    others = []
    for output in outputs:
        match output.get("output_type"):
            case "stream":
                printed.get(str(output.get("name")), []).append(_joined(output.get("text", "")))
            case "error":
                raised = f"{output.get('ename', '')}: {output.get('evalue', '')}"
                others.append(Part("text", "error", plain(raised)))
            case _:
                others += _shown(output.get("data", {}))
    streams = [Part("stream", n, text) for n in printed if (text := plain("".join(printed[n])))]
    return streams + others


def _shown(data: dict[str, Any]) -> Iterator[Part]:
    """Yield the richest of the forms of one output."""
    known = {name: _joined(value) for name, value in data.items() if name != _NOT_COMPARED}
    if _NOT_COMPARED in data:
        return
    objects = sorted(name for name in known if name.endswith("json"))
    files = sorted(name for name in known if name.startswith(_FILES))
    order = (*_RICHEST[:5], *objects, *_RICHEST[5:], *files, "text/plain", *sorted(known))
    for name in order:
        if name not in known:
            continue
        if name == "text/html":
            yield from (embedded := list(_embedded(known[name])))
            if not embedded and "text/plain" in known and not _has_text(known[name]):
                continue  # a plot that a script draws, say
        kind: Literal["image", "html", "text"] = (
            "image" if name in _IMAGES else "html" if name == "text/html" else "text"
        )
        yield Part(kind, name, plain(known[name]) if kind == "text" else known[name])
        return


def _embedded(html: str) -> Iterator[Part]:
    """Yield the images and other files that a page holds as data."""
    for found in _DATA.finditer(html):
        kind: Literal["image", "text"] = "image" if found["type"] in _IMAGES else "text"
        yield Part(kind, f"{found['type']} in text/html", found["data"])


def _has_text(html: str) -> bool:
    page = html_tables.read(html)
    return bool(page.tables or page.text)


def _joined(value: Any) -> str:
    """Return a text, which may be a list of lines, or an object as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return json.dumps(value, indent=0, sort_keys=True)
