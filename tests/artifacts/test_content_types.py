"""The type of an artifact is found by its content, whatever its name says."""

import gzip
import struct
import zlib
from pathlib import Path

import pytest

from stepkit.artifacts import content_types

SVG = """<?xml version="1.0" encoding="utf-8" standalone="no"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN"
  "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"><path d="M0 0"/></svg>
"""
BOMB = """<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<a>&b;</a>"""

OUTSIDE = '<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/hostname">]><svg>&a;</svg>'


def chunk(name: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + checksum


PNG = b"\x89PNG\r\n\x1a\n" + b"".join(
    chunk(name, data)
    for name, data in [
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0\0")),
        (b"IEND", b""),
    ]
)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PNG, "png"),
        (SVG, "svg"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "jpeg"),
        (b"%PDF-1.4\n", "pdf"),
        (b"\x89HDF\r\n\x1a\n\0\0", "hdf5"),
        (gzip.compress(b"x", mtime=0), "gzip"),
        ("\ufeff\n<!-- made by x -->\n<!DOCTYPE HTML>\n<title>x</title>", "html"),
        ("<table><tr><td>1</table>", "html"),
        ("<?xml version='1.0'?><testsuites/>", "xml"),
        (' {"cells": []}', "json"),
        ("cell,umap\n1,2 µ\n", "text"),
        ("x" + "é" * 3000, "text"),
        (b"\x00\x01", ""),
        ("x\xff\xfe".encode("latin-1"), ""),
    ],
)
def test_the_first_bytes_say_what_a_file_is(
    tmp_path: Path, content: str | bytes, kind: str
) -> None:
    assert content_types.find(write(tmp_path / "x.bin", content)) == kind


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PNG, "png"),
        (SVG, "svg"),
        (SVG, "xml"),
        ("<html xmlns='http://www.w3.org/1999/xhtml'/>", "xml"),
        ('{"a": [1]}', "json"),
        ('{"a": [1]}', "text"),
        ("<!doctype html><p>x", "html"),
    ],
)
def test_a_whole_file_of_the_type_is_accepted(
    tmp_path: Path, content: str | bytes, kind: str
) -> None:
    assert content_types.fault(write(tmp_path / "x", content), kind) == ""


@pytest.mark.parametrize(
    ("content", "kind", "fault"),
    [
        ("<html>504 Gateway Timeout</html>", "png", "is HTML, not PNG"),
        (PNG, "html", "is PNG, not HTML"),
        (b"\x00\x01", "json", "is of an unknown type, not JSON"),
        ("a,b", "notebook", "is text, not a notebook"),
        (PNG[:-12], "png", "is PNG that is cut off"),
        ('{"a": [1', "json", "is not JSON: Expecting"),
        ("[" * 100_000, "json", "is not JSON: "),
        ("<a><b></a>", "xml", "is not XML that can be read: "),
        (BOMB, "xml", "is not XML that can be read: EntitiesForbidden"),
        (OUTSIDE, "xml", "is not XML that can be read: EntitiesForbidden"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    tmp_path: Path, content: str | bytes, kind: str, fault: str
) -> None:
    assert content_types.fault(write(tmp_path / "x", content), kind).startswith(fault)
