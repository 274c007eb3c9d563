"""A large dataset of a sparse file: download, take it from the cache, unpack it."""

import hashlib
import mmap
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final, cast

from data_server import serving

from benchmarks.load.measured import Measured, left_behind, stepkit
from benchmarks.notebooks import MB

_HOLE: Final = "large.bin"


def play(scratch: Path, size: int) -> Iterator[Measured]:
    """Serve a tar archive with one file of ``size`` MB, which is a hole, and download it."""
    archive = scratch / "served.tar"
    _write_archive(archive, size * MB)
    with archive.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    target = scratch / "data" / "large.tar"
    kept = ("--directory", target.parent, "--link-mode", "hardlink")
    with ExitStack() as stack:
        file = stack.enter_context(archive.open("rb"))
        content = stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        server = stack.enter_context(serving(cast("bytes", content)))
        source = ("--url", f"{server.url}/large.tar", "--sha256", sha256)
        args = (*source, "--cache", scratch / "cache")
        download = partial(stepkit, "download-dataset", size, *args, scratch=scratch)
        yield download(*kept).having(_differs(target, sha256))
        target.unlink()
        asked = len(server.requests)
        ran = download(*kept, what="download-dataset from the cache")
        yield ran.having(_differs(target, sha256))
        target.unlink()
        unpacking = ("--directory", target.parent, "--unpack", "true")
        ran = download(*unpacking, what="download-dataset --unpack")
        again = ["it was downloaded again"] * (len(server.requests) - asked)
    found = [path.stat().st_size for path in target.parent.rglob(_HOLE)]
    wrong = [f"{found} bytes were unpacked of {size * MB}"] * (found != [size * MB])
    yield ran.having([*again, *wrong, *left_behind(scratch)])


def _write_archive(path: Path, size: int) -> None:
    header = tarfile.TarInfo(_HOLE)
    header.size = size
    blocks = -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    with path.open("wb") as file:
        file.write(header.tobuf())
        file.truncate(tarfile.BLOCKSIZE + blocks + 2 * tarfile.BLOCKSIZE)


def _differs(path: Path, sha256: str) -> Iterator[str]:
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            yield f"{path.name} has another content"
