"""Strategies for archives: members with odd names, types and sizes, and damaged ones."""

# ruff: noqa: E501 - tables of inputs and of readers, one a line

from __future__ import annotations

import io
import tarfile
import warnings
import zipfile
from collections.abc import Sequence
from typing import Any

from fuzz.inputs import damaged
from hypothesis import strategies as st

NAMES = st.sampled_from(
    ["a", "a/b", "a/", "./a", "", ".", "/", "..", "../a", "a/../../b", "/etc/a", "a//b", "\ud8ff", "é",
     "a" * 300, "/".join("abcdefgh" * 40), "a\nb", "a\\b", ".stepkit-dataset.json", "C:a", "a\0b"]
) | st.text(max_size=4)  # fmt: skip
_TYPES = st.sampled_from([b"0", b"\0", b"1", b"2", b"3", b"5", b"6", b"7", b"S", b"x", b"L", b"Z"])
_PAX = st.dictionaries(
    st.sampled_from(["size", "path", "linkpath", "mtime", "GNU.sparse.map", "GNU.sparse.size",
                     "GNU.sparse.major", "GNU.sparse.realsize", "hdrcharset", "uid"]),
    st.sampled_from(["", "1", "-1", "0,1", "9" * 30, "../a", "/a", "x", "nan", "BINARY", "\ud8ff"]),
    max_size=2,
)  # fmt: skip


@st.composite
def tars(draw: st.DrawFn) -> bytes:
    """Draw a tar file, of which headers may say what is not there."""
    kind: Any = draw(
        st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    )
    mode: Any = draw(st.sampled_from(["w", "w", "w", "w:gz", "w:bz2", "w:xz"]))
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=kind, errors="surrogateescape") as archive:
        for _ in range(draw(st.integers(0, 3))):
            member = tarfile.TarInfo(draw(NAMES))
            member.type, member.linkname = draw(_TYPES), draw(NAMES)
            member.mode = draw(st.sampled_from([0o644, 0o755, 0, 0o7777]))
            member.pax_headers = draw(_PAX)
            content = draw(st.binary(max_size=20))
            member.size = draw(st.sampled_from([len(content)] * 3 + [0, 511, 2**33 - 1]))
            try:
                header = member.tobuf(kind, "utf-8", "surrogateescape")
            except (ValueError, OverflowError):  # what this format cannot hold
                continue
            archive.fileobj.write(header + content.ljust(-(-len(content) // 512) * 512, b"\0"))
    return file.getvalue()


@st.composite
def zips(draw: st.DrawFn) -> bytes:
    """Draw a zip file; the fields of its directory may be others than those of its members."""
    file = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(file, "w") as archive:
        for _ in range(draw(st.integers(0, 3))):
            member = zipfile.ZipInfo(draw(NAMES).encode("utf-8", "replace").decode() or "a")
            member.external_attr = (
                draw(st.sampled_from([0, 0o100644, 0o120777, 0o40755, 0o10600])) << 16
            )
            member.compress_type = draw(st.sampled_from([0, 8, 12, 14]))
            archive.writestr(member, draw(st.binary(max_size=20)))
            for name, values in (
                ("file_size", [0, 1, 2**31]), ("compress_size", [0, 2**31]), ("flag_bits", [1, 8, 0x800]),
                ("header_offset", [1, 2**31]), ("CRC", [1]),
            ):  # fmt: skip
                if draw(st.integers(0, 9)) == 0:
                    setattr(member, name, draw(st.sampled_from(values)))
    return file.getvalue()


def of_tars(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Return a strategy for tar files: built ones, and damaged ones of ``seeds``."""
    return tars() | damaged(seeds) | tars().flatmap(lambda made: damaged([made]))


def of_zips(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Return a strategy for zip files: built ones, and damaged ones of ``seeds``."""
    return zips() | damaged(seeds) | zips().flatmap(lambda made: damaged([made]))
