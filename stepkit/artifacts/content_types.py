"""Find out what type of file an artifact is, by its content."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

# Each type that a condition may name: what a message calls it, and its media type.
TYPES: Final = {
    "notebook": ("a notebook", "application/x-ipynb+json"),
    "html": ("HTML", "text/html"),
    "json": ("JSON", "application/json"),
    "xml": ("XML", "application/xml"),
    "text": ("text", "text/plain"),
    "svg": ("SVG", "image/svg+xml"),
    "png": ("PNG", "image/png"),
    "jpeg": ("JPEG", "image/jpeg"),
    "gif": ("GIF", "image/gif"),
    "webp": ("WebP", "image/webp"),
    "pdf": ("PDF", "application/pdf"),
    "hdf5": ("HDF5", "application/x-hdf5"),
    "parquet": ("Parquet", "application/vnd.apache.parquet"),
    "zip": ("ZIP", "application/zip"),
    "gzip": ("gzip", "application/gzip"),
}
BY_MEDIA_TYPE: Final = {media_type: kind for kind, (_, media_type) in TYPES.items()}

LARGEST: Final = 256 << 20  # bytes of a file that is parsed

_HEAD: Final = 4096  # bytes
_TAIL: Final = 1024
_MAGIC: Final = {
    "png": rb"\x89PNG\r\n\x1a\n",
    "jpeg": rb"\xff\xd8\xff",
    "gif": rb"GIF8[79]a",
    "webp": rb"RIFF....WEBP",
    "pdf": rb"%PDF-",
    "hdf5": rb"\x89HDF\r\n\x1a\n",
    "parquet": rb"PAR1",
    "zip": rb"PK(?:\x03\x04|\x05\x06)",
    "gzip": rb"\x1f\x8b",
}
_ENDS: Final = {  # what the last bytes of a whole file hold
    "png": b"IEND\xaeB`\x82",
    "jpeg": b"\xff\xd9",
    "pdf": b"%%EOF",
    "parquet": b"PAR1",
}
_BEGINS: Final = {  # of text formats, without white space
    "json": re.compile(r"[{[]"),
    "html": re.compile(
        r"(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|title|meta|table|div|p|h1)\b",
        re.IGNORECASE | re.DOTALL,
    ),
    "svg": re.compile(r"(?:<[?!][^>]*>\s*)*<svg\b"),
    "xml": re.compile("<"),
}
_ALSO: Final = {  # what a file of a type is, too
    "notebook": {"json", "text"},
    "svg": {"xml", "text"},
    "html": {"text"},
    "json": {"text"},
    "xml": {"text"},
}


def find(path: Path) -> str:
    """Return the type of a file by its first bytes, ``""`` if they say nothing.

    Any JSON is ``json``. Raises :class:`OSError`.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    for kind, magic in _MAGIC.items():
        if re.match(magic, head, re.DOTALL):
            return kind
    if b"\0" in head:
        return ""
    text = head.decode("utf-8-sig", "replace").lstrip()
    for kind, begin in _BEGINS.items():
        if begin.match(text):
            return kind
    return "text" if text.count("\ufffd") <= 1 else ""  # the last character may be cut in two


def fault(path: Path, kind: str) -> str:
    """Say why a file is not a whole file of type ``kind``: ``""`` when it is. Raises OSError.

    Text formats are read to their end, of others the last bytes are looked at.
    """
    found = find(path)
    if kind == "notebook" and found == "json":
        found = kind
    if found == "html" and kind == "xml":  # XHTML
        found = kind
    if kind not in {found, *_ALSO.get(found, ())}:
        return f"is {TYPES[found][0] if found else 'of an unknown type'}, not {TYPES[kind][0]}"
    if kind in {"xml", "svg"}:
        return _xml_fault(path)
    if kind == "json":
        return _json_fault(path)
    if end := _ENDS.get(kind):
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - _TAIL, 0))
            if end not in file.read():
                return f"is {TYPES[kind][0]} that is cut off"
    return ""


def _xml_fault(path: Path) -> str:
    from xml.sax import SAXException
    from xml.sax.handler import ContentHandler

    import defusedxml
    from defusedxml.sax import parse

    try:
        with path.open("rb") as file:
            parse(file, ContentHandler(), forbid_external=False)  # which it does not load
    except (SAXException, defusedxml.DefusedXmlException, ValueError, LookupError) as error:
        return f"is not XML that can be read: {error}"
    return ""


def _json_fault(path: Path) -> str:
    if path.stat().st_size > LARGEST:
        return f"is larger than {LARGEST >> 20} MiB, too large to look into"
    try:
        json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        return f"is not JSON: {error}"
    return ""
