"""Read a tar or zip file member by member, and refuse one that holds more than plain files.

Regular files and directories with paths inside of the archive are unpacked. An archive with a
link, a device, a pipe or a path that leads elsewhere is refused as a whole.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Final, Literal, Self, cast

from stepkit.errors import ConfigurationError

if TYPE_CHECKING:
    import tarfile
    from collections.abc import Iterator
    from pathlib import Path

Kind = Literal["tar", "zip"]

SUFFIXES: Final[dict[str, Kind]] = {
    ".zip": "zip", ".tar": "tar",
    ".tar.gz": "tar", ".tgz": "tar", ".tar.bz2": "tar", ".tbz2": "tar", ".tar.xz": "tar",
    ".txz": "tar",
}  # fmt: skip
_LONGEST_NAME: Final = 255  # bytes, of a file on Linux
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_CHUNK: Final = 2**20  # bytes
_LARGEST_HEADER: Final = 2**20  # bytes, of one member in a tar file, with all of its extensions
_ENCRYPTED: Final = 0x1  # of a zip member's flags (APPNOTE, 4.4.4)


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file or directory: its path in parts, its size in bytes, how to read it."""

    parts: tuple[str, ...]
    is_directory: bool
    size: int
    executable: bool
    open: Callable[[], IO[bytes]]


def kind_by_name(name: str) -> Kind | None:
    """Return which kind of archive a file of that name is; None where it is not an archive."""
    return next((kind for end, kind in SUFFIXES.items() if name.lower().endswith(end)), None)


def without_suffix(name: str) -> str:
    """Return an archive's name without the suffix of its kind, such as ``.tar.gz``."""
    found = [end for end in SUFFIXES if name.lower().endswith(end)]
    return name[: -len(max(found, key=len))] if found else name


def kind_by_content(path: Path) -> Kind:
    """Return which kind of archive the file is.

    Raises :class:`ConfigurationError` when it is neither a tar nor a zip file.
    """
    import tarfile
    import zipfile

    with explaining_damage(), suppress(tarfile.TarError), _opened(path):
        return "tar"
    if zipfile.is_zipfile(path):
        return "zip"
    with path.open("rb") as file:
        zstd = file.read(4) == b"\x28\xb5\x2f\xfd"  # RFC 8878, 3.1.1
    hint = "Zstandard is not supported" if zstd else "is it whole, and is unpack meant for it?"
    raise ConfigurationError(f"this is not a tar or zip file: {hint}")


def members(path: Path, kind: Kind) -> Iterator[Member]:
    """Yield the members in order; each can be read until the next one is asked for.

    Raises :class:`ConfigurationError` for a broken archive, and for a member that is neither a
    regular file nor a directory, or whose path leads out of the archive.
    """
    with explaining_damage():
        yield from _tar_members(path) if kind == "tar" else _zip_members(path)


@contextmanager
def explaining_damage() -> Iterator[None]:
    """Turn the libraries' errors about a broken archive into :class:`ConfigurationError`."""
    import lzma
    import tarfile
    import zipfile
    import zlib

    broken = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError)
    try:
        yield
    except (*broken, NotImplementedError, ValueError) as error:
        why = " ".join(str(error).split())  # tarfile has a line for each kind of compression
        raise ConfigurationError(f"the archive is broken: {why}") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise ConfigurationError(f"the archive is broken: {error}") from error  # bz2, gzip


def _tar_members(path: Path) -> Iterator[Member]:
    with _opened(path) as tar:
        for found in tar:
            if not (found.isreg() or found.isdir()):
                kind = "a device" if found.ischr() or found.isblk() else "not a regular file"
                is_link = found.issym() or found.islnk()
                raise _refused(found.name, f"a link to {found.linkname!a}" if is_link else kind)
            if parts := _parts(found.name):
                yield Member(
                    parts=parts,
                    is_directory=found.isdir(),
                    size=found.size if found.isreg() else 0,
                    executable=bool(found.mode & stat.S_IXUSR),
                    # Its result is None for a member that is not a regular file.
                    open=cast("Callable[[], IO[bytes]]", partial(tar.extractfile, found)),
                )
        while tar.fileobj.read(_CHUNK):  # a compressed file's checksum is at its end
            pass


def _opened(path: Path) -> tarfile.TarFile:
    """Open a tar file whose broken header raises, and whose header is not read without a limit.

    The standard library takes a broken header for the end of the archive, and reads a long name, a
    pax header or the map of a sparse file into memory whatever its size.
    """
    import tarfile

    ends = (tarfile.EOFHeaderError, tarfile.EmptyHeaderError)  # type: ignore[attr-defined]
    broken, unreadable = tarfile.HeaderError, tarfile.ReadError

    class Header(tarfile.TarInfo):
        @classmethod
        def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
            file: Any = tarfile.fileobj
            limited: Any = file if isinstance(file, _HeaderFile) else _HeaderFile(file)
            tarfile.fileobj = limited  # also for the headers that an extension leads to
            try:
                return super().fromtarfile(tarfile)
            except ends:
                raise
            except (broken, RecursionError, ValueError) as error:  # of extensions, many or odd
                raise unreadable(str(error)) from error
            finally:
                tarfile.fileobj = file

    return tarfile.open(path, "r:*", tarinfo=Header)


class _HeaderFile:
    """An open tar file while the header of one member is read."""

    def __init__(self, file: Any) -> None:
        self.seek, self.tell = file.seek, file.tell
        self._file, self._left = file, _LARGEST_HEADER

    def read(self, size: int) -> bytes:
        if not 0 <= size <= self._left:
            raise ConfigurationError(
                f"the archive holds a header of more than {_LARGEST_HEADER} bytes: it looks like a "
                "bomb; unpack it where you can watch"
            )
        self._left -= size
        data: bytes = self._file.read(size)
        return data


def _zip_members(path: Path) -> Iterator[Member]:
    import zipfile

    with zipfile.ZipFile(path) as archive:
        for found in archive.infolist():
            mode = found.external_attr >> 16
            if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
                raise _refused(found.orig_filename, "a link" if stat.S_ISLNK(mode) else "a device")
            if found.flag_bits & _ENCRYPTED:
                raise _refused(found.orig_filename, "encrypted")
            if parts := _parts(found.orig_filename):
                yield Member(
                    parts=parts,
                    is_directory=found.is_dir(),
                    size=found.file_size,
                    executable=bool(mode & stat.S_IXUSR),
                    open=partial(archive.open, found),
                )


def _parts(name: str) -> tuple[str, ...]:
    """Return the parts of a member's path; nothing for the root of the archive itself."""
    if _CONTROL.search(name):
        raise _refused(name, "a name with a control character")
    if name.startswith("/"):
        raise _refused(name, "an absolute path")
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if ".." in parts:
        raise _refused(name, "a path out of the archive")
    if any(len(part.encode("utf-8", "surrogateescape")) > _LONGEST_NAME for part in parts):
        raise _refused(name, "a name of more than 255 bytes")
    return parts


def _refused(name: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"the member {name[:100]!a} is {why}: only regular files and directories inside of the "
        "archive are unpacked"
    )
