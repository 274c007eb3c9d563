"""The checksums of a file: SHA-256 always, and MD5 where a manifest gives nothing better."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from stepkit.datasets.partial_file import Request

_CHUNK: Final = 2**20  # bytes


@dataclass(frozen=True, kw_only=True)
class Checksums:
    """Checksums in hexadecimal; ``md5`` is "" where it was not computed."""

    sha256: str
    md5: str = ""

    @classmethod
    def of(cls, path: Path, *, md5: bool) -> Checksums:
        """Read a file once. Raises :class:`OSError`."""
        weak = hashlib.md5(usedforsecurity=False) if md5 else None
        strong = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                strong.update(chunk)
                if weak:
                    weak.update(chunk)
        return cls(sha256=strong.hexdigest(), md5=weak.hexdigest() if weak else "")

    def difference(self, request: Request) -> str:
        """Say which checksum is not the requested one; ``""`` where all of them are."""
        if request.sha256 and self.sha256 != request.sha256:
            return f"the sha256 {self.sha256}, not {request.sha256}"
        if request.md5 and self.md5 != request.md5:
            return f"the md5 {self.md5}, not {request.md5}"
        return ""
