"""What archives may hold; nothing is left of one that holds something else."""

import gzip
import io
import json
import random
import stat
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from refusals import refusal

from stepkit.datasets import archive_members
from stepkit.datasets import unpack as dataset_unpack
from stepkit.datasets.unpack import MARKER, Limits
from stepkit.errors import ConfigurationError, Reason, StepError, ToolError

KEY = "0" * 64
NOISE = random.Random(2).randbytes(100_000)


def unpack(archive: Path, into: Path, limits: Limits | None = None) -> dataset_unpack.Unpacked:
    into.mkdir()
    kind = archive_members.kind_by_content(archive)
    return dataset_unpack.unpack(archive, into, sha256=KEY, kind=kind, limits=limits)


def tarred(path: Path, *members: tarfile.TarInfo, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for member in members:
            member.size = len(NOISE) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(NOISE))
    return path


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


def zipped(path: Path, *names: str, attributes: int = 0, flags: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.external_attr = attributes << 16
            archive.writestr(info, b"text")
    if flags:
        data = bytearray(path.read_bytes())
        data[data.index(b"PK\x01\x02") + 8] |= flags
        path.write_bytes(data)
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_file_is_unpacked_whatever_its_compression(tmp_path: Path, mode: str) -> None:
    members = [member("./", tarfile.DIRTYPE), member("./d/run.sh", mode=0o6755), member("d/b")]
    archive = tarred(tmp_path / "a.tar", *members, mode=mode)

    done = unpack(archive, tmp_path / "out")

    assert (done.count, done.size) == (2, 2 * len(NOISE))
    assert (tmp_path / "out/d/b").read_bytes() == NOISE
    assert stat.S_IMODE((tmp_path / "out/d/run.sh").stat().st_mode) & 0o7700 == 0o700
    assert dataset_unpack.intact(tmp_path / "out", KEY) == archive.stat().st_size
    assert not dataset_unpack.holds_work(tmp_path / "out")


def test_a_zip_file_is_unpacked(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", "empty/", "d/a", "b")

    assert unpack(archive, tmp_path / "out").count == 2
    assert (tmp_path / "out/d/a").read_bytes() == b"text"
    assert (tmp_path / "out/empty").is_dir()


EVIL: dict[str, Callable[[Path], Path]] = {
    "a path out of the archive": lambda p: tarred(p, member("a/../../evil")),
    "an absolute path": lambda p: tarred(p, member("/tmp/evil")),
    "a link to '/etc'": lambda p: tarred(p, member("d", tarfile.SYMTYPE, "/etc"), member("d/x")),
    "a link to 'b'": lambda p: tarred(p, member("b"), member("a", tarfile.LNKTYPE, "b")),
    "a device": lambda p: tarred(p, member("null", tarfile.CHRTYPE)),
    "not a regular file": lambda p: tarred(p, member("pipe", tarfile.FIFOTYPE)),
    "a control character": lambda p: tarred(p, member("a\nb")),
    "more than 255 bytes": lambda p: tarred(p, member("x" * 300)),
    "'a' twice": lambda p: tarred(p, member("a"), member("./a")),
    "as a file and as a directory": lambda p: tarred(p, member("a"), member("a/b")),
    "the name of stepkit's marker": lambda p: tarred(p, member(MARKER)),
    "is a path out": lambda p: zipped(p, "../evil"),
    "is an absolute path": lambda p: zipped(p, "/evil"),
    "is a link": lambda p: zipped(p, "a", attributes=stat.S_IFLNK | 0o777),
    "is a device": lambda p: zipped(p, "a", attributes=stat.S_IFCHR | 0o666),
    "is encrypted": lambda p: zipped(p, "a", flags=1),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("why", EVIL)
def test_a_member_that_is_not_a_plain_file_is_refused(tmp_path: Path, why: str) -> None:
    archive = EVIL[why](tmp_path / "archive")

    with pytest.raises(ConfigurationError, match=why):
        unpack(archive, tmp_path / "out")

    assert not list(tmp_path.rglob("evil"))
    assert not (tmp_path / "out" / MARKER).exists()


def test_a_link_in_the_target_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    archive = tarred(tmp_path / "a", member("d/x"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/d").mkdir()
    (tmp_path / "out/d/x").symlink_to(tmp_path / "away/x")

    with pytest.raises(StepError):
        dataset_unpack.unpack(archive, tmp_path / "out", sha256=KEY, kind="tar")

    assert list((tmp_path / "away").iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        *((kind, "cut") for kind in ("tar.gz", "tar", "tar.xz", "zip")),
        *((kind, "flipped") for kind in ("tar.gz", "tar.xz", "zip")),  # tar alone cannot tell
    ],
)
def test_a_broken_archive_is_refused(tmp_path: Path, kind: str, damage: str) -> None:
    archive = tmp_path / f"a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("a", NOISE)
    else:
        mode = "w:" + kind.partition(".")[2]
        tarred(archive, member("a"), mode=mode.rstrip(":") if kind == "tar" else mode)
    data = bytearray(archive.read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2]
    else:
        data[len(data) // 2] ^= 0xFF
    archive.write_bytes(data)

    with pytest.raises(ConfigurationError, match=r"the archive is broken|not a tar or zip"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("damage", ["overwritten", "cut"])
def test_a_broken_header_is_not_the_end_of_an_archive(tmp_path: Path, damage: str) -> None:
    archive = tarred(tmp_path / "a.tar", member("a"), member("b"))
    data = archive.read_bytes()
    header = 512 + -(-len(NOISE) // 512) * 512  # of the second member
    rest = b"" if damage == "cut" else data[header + 100 :]
    archive.write_bytes(data[:header] + b"x" * 100 + rest)

    with pytest.raises(ConfigurationError, match="the archive is broken"):
        unpack(archive, tmp_path / "out")


def test_an_archive_may_end_without_zeros(tmp_path: Path) -> None:
    archive = tarred(tmp_path / "a.tar", member("a"))
    archive.write_bytes(archive.read_bytes()[: 512 + -(-len(NOISE) // 512) * 512])

    assert unpack(archive, tmp_path / "out").count == 1


def test_zstandard_is_named_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\x28\xb5\x2f\xfdxxxx")

    with pytest.raises(ConfigurationError, match="Zstandard is not supported"):
        archive_members.kind_by_content(tmp_path / "a")


@pytest.mark.parametrize(
    "limits", [Limits(members=1), Limits(size=150_000), Limits(ratio=1, harmless=100)]
)
def test_a_bomb_is_refused(tmp_path: Path, limits: Limits) -> None:
    archive = tarred(tmp_path / "a", member("a"), member("b"), mode="w:gz")
    if limits.ratio == 1:
        archive.write_bytes(gzip.compress(_zeros()))

    with pytest.raises(ConfigurationError, match="it looks like a bomb"):
        unpack(archive, tmp_path / "out", limits)


def _zeros() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("zeros")
        info.size = 1_000_000
        tar.addfile(info, io.BytesIO(bytes(1_000_000)))
    return buffer.getvalue()


def extended(kind: bytes, content: bytes) -> bytes:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, len(content)
    return info.tobuf(tarfile.GNU_FORMAT) + content


def without_end() -> bytes:
    """Return a header whose negative size reads to the end."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, -1000
    return info.tobuf(tarfile.GNU_FORMAT)


def sparse(blocks: int) -> bytes:
    """Return the header of a sparse file whose map has that many blocks more."""
    header = bytearray(extended(tarfile.GNUTYPE_SPARSE, b""))
    header[482] = 1  # isextended, and so at 504 in each block
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * ord(" ") + sum(header[156:]))
    return bytes(header) + (b"%011o\0" % 0 * 42 + b"\1" + bytes(7)) * blocks


@pytest.mark.parametrize(
    "header",
    [
        extended(tarfile.GNUTYPE_LONGNAME, bytes(2**20 + 512)),
        extended(tarfile.GNUTYPE_LONGLINK, bytes(2**20 + 512)),
        extended(tarfile.XHDTYPE, bytes(2**20 + 512)),
        extended(tarfile.XGLTYPE, bytes(2**20 + 512)),
        extended(tarfile.GNUTYPE_LONGNAME, bytes(2**19)) * 3,
        without_end(),
        sparse(2100),
    ],
    ids=["long name", "long link", "pax", "global pax", "several", "negative", "sparse"],
)
def test_a_header_is_not_read_into_memory_whatever_its_size(tmp_path: Path, header: bytes) -> None:
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(gzip.compress(header + member("a").tobuf()))
    (tmp_path / "out").mkdir()

    for read in (
        lambda: archive_members.kind_by_content(archive),
        lambda: dataset_unpack.unpack(archive, tmp_path / "out", sha256=KEY, kind="tar"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            read()
        assert str(caught.value) == (
            "the archive holds a header of more than 1048576 bytes: it looks like a bomb; unpack "
            "it where you can watch"
        )
    assert list((tmp_path / "out").iterdir()) == []


def test_extensions_of_extensions_make_an_archive_broken(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(extended(tarfile.GNUTYPE_LONGNAME, b"") * 1000 + member("a").tobuf())
    (tmp_path / "out").mkdir()

    unpacking = partial(dataset_unpack.unpack, sha256=KEY, kind="tar")
    assert "the archive is broken: " in refusal(unpacking, archive, tmp_path / "out")


def test_a_full_disk_fails_before_the_file_is_written(tmp_path: Path, small_disk: Path) -> None:
    archive = tmp_path / "a"
    archive.write_bytes(gzip.compress(_zeros()))
    (small_disk / "other").write_bytes(bytes(100_000))

    with pytest.raises(ToolError) as caught:
        unpack(archive, small_disk / "out")

    assert caught.value.reason is Reason.DISK_FULL


def marker(**changed: object) -> str:
    whole = {"schema": "stepkit.unpacked/1", "sha256": KEY, "size": 5, "files": {"f": [1, 2]}}
    return json.dumps({key: value for key, value in (whole | changed).items() if value})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema": "stepkit.unpacked/1"}',
        marker(sha256=None),
        marker(size="5"),
        marker(files=[]),
        marker(files={"f": 5}),
        marker(files={"f": "ab"}),
        marker(files={"a\0": [1, 2]}),
        marker(files={"\ud800": [1, 2]}),
        marker(files={"f" * 300: [1, 2]}),
        "\xff" + marker(),
        "[" * 100_000,
    ],
)
def test_a_malformed_marker_is_ignored_and_what_lies_beside_it_is_kept(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / MARKER).write_bytes(text.encode("latin-1"))
    (tmp_path / "f").write_text("work")

    assert dataset_unpack.intact(tmp_path, KEY) is None
    assert dataset_unpack.holds_work(tmp_path)


@pytest.mark.parametrize(
    ("name", "kind", "bare"),
    [
        ("a.tar.gz", "tar", "a"),
        ("A.TGZ", "tar", "A"),
        ("a.b.zip", "zip", "a.b"),
        ("a.h5ad", None, "a.h5ad"),
        ("a.gz", None, "a.gz"),
    ],
)
def test_archives_are_recognised_by_their_names(name: str, kind: str | None, bare: str) -> None:
    assert archive_members.kind_by_name(name) == kind
    assert archive_members.without_suffix(name) == bare
