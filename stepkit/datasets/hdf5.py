"""Recognise a truncated HDF5 file (.h5, .h5ad) by the length in its first bytes.

Damage inside of the file is not found: only a checksum shows that. Offsets are those of the HDF5
File Format Specification, II.A, "Format Signature and Superblock".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepkit.system import atomic_files

if TYPE_CHECKING:
    from pathlib import Path

_NAMES: Final = (".h5", ".hdf5", ".h5ad", ".h5mu")
_SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
_HEAD: Final = 64  # bytes
_OFFSETS_8: Final = 8  # bytes of an offset, in every file that is met in practice


def problem(path: Path, name: str) -> str:
    """Say what is wrong with a file whose ``name`` says that it is HDF5; ``""`` for nothing."""
    if not name.lower().endswith(_NAMES):
        return ""
    with atomic_files.explaining(f"cannot read {path}"):
        with path.open("rb") as file:
            head = file.read(_HEAD)
        size = path.stat().st_size
    if not head.startswith(_SIGNATURE):
        return f"{name} is not an HDF5 file"
    version = head[8] if len(head) == _HEAD else None
    if version in {0, 1} and head[13] == _OFFSETS_8:
        at = 40 if version == 0 else 44
    elif version in {2, 3} and head[9] == _OFFSETS_8:
        at = 28
    else:
        return ""
    end = int.from_bytes(head[at : at + 8], "little")
    return f"{name} is cut off: {size} of {end} bytes are there" if end > size else ""
