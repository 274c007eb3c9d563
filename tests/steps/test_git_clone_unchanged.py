"""A checkout that is exactly the wanted commit stays; whatever else is there, all is fetched."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from clones import clone, failed
from git_server import GitServer, serving
from samples import Origin
from samples import names as all_names

from stepkit.errors import UserCodeError
from stepkit.git import unchanged
from stepkit.git.fetch import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Origin, Path]:
    """Return a repository of all kinds of entries, and a checkout of it that stays as it is."""
    place = tmp_path_factory.mktemp("made")
    origin = Origin(place / "server")
    origin.commit("first")
    (origin.path / "link").symlink_to("file.txt")
    (origin.path / "run.sh").write_text("#!/bin/sh\n")
    (origin.path / "run.sh").chmod(0o755)
    origin.commit("a\nb", "docs/deep/page \u00e9.md")
    clone(origin, place / "source")
    return origin, place / "source"


@pytest.fixture
def kept(made: tuple[Origin, Path], source: Path) -> Path:
    """Return a copy of the checkout, whose files have other times and numbers."""
    shutil.copytree(made[1], source, symlinks=True)
    return source


def run(checkout: Path, *args: str, input: bytes = b"") -> str:  # noqa: A002
    command = ["git", "-c", "safe.directory=*", "-C", str(checkout), *args]
    return (
        subprocess.run(command, input=input, check=True, capture_output=True)
        .stdout.decode()
        .strip()
    )


def is_exact(checkout: Path, origin: Origin) -> bool:
    commit = unchanged.recorded_commit(checkout, origin.url, Wanted())
    assert commit in {None, origin.head}
    return commit is not None and unchanged.is_exact(
        checkout, commit, Wanted(), ignore=(), timeout=60
    )


def identity(checkout: Path) -> tuple[int, ...]:
    return tuple(path.stat().st_ino for path in (checkout, checkout / ".git/index"))


def test_an_unchanged_checkout_of_the_same_commit_stays(
    made: tuple[Origin, Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    origin, checkout = made
    before = identity(checkout)

    outputs = clone(origin, checkout)

    assert identity(checkout) == before
    assert (outputs.commit, outputs.backup) == (origin.head, None)
    assert f"HEAD of {origin.url} at {origin.head} is there, unchanged" in caplog.text
    assert all_names(checkout.parent, locks=False) == ["server", "source"]


def test_nothing_but_the_name_of_the_commit_is_asked_for(origin: Origin, source: Path) -> None:
    with serving(GitServer(origin.path.parent)) as server:
        url = f"{server.url}/{origin.path.name}/.git"
        clone(url, source)
        server.asked.clear()

        clone(url, source)
        by_branch = [path for path, _ in server.asked]
        clone(url, source, revision=origin.head)

        assert by_branch[0].endswith("info/refs?service=git-upload-pack")
        assert len(by_branch) == len(server.asked) <= 2  # of ls-remote; a commit names itself


def edit_unseen(checkout: Path) -> None:
    """Edit a file so that its size and times are those in the index."""
    run(checkout, "update-index", "--refresh")
    file, index = checkout / "file.txt", checkout / ".git/index"
    times = file.stat()
    file.write_text("FIRST")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    content = bytearray(index.read_bytes())
    at = content.index(b"file.txt\0") - 62  # gitformat-index(5): an entry begins with its ctime
    content[at : at + 8] = struct.pack(">II", *divmod(file.stat().st_ctime_ns, 10**9))
    content[-20:] = hashlib.sha1(content[:-20]).digest()
    index.write_bytes(content)
    os.utime(index, ns=(times.st_atime_ns, times.st_mtime_ns + 10**10))
    assert run(checkout, "status", "--porcelain") == ""


def edit_with_its_index(checkout: Path) -> None:
    (checkout / "file.txt").write_text("FIRST")
    run(checkout, "add", "file.txt")


def unpack(checkout: Path) -> None:
    """Keep the objects as loose ones, and not in a pack."""
    for pack in checkout.glob(".git/objects/pack/*.pack"):
        objects = pack.read_bytes()
        for file in checkout.glob(".git/objects/pack/*"):
            file.unlink()
        run(checkout, "unpack-objects", "-q", input=objects)


def replace_object(checkout: Path) -> None:
    """Have git read other content for the blob of file.txt."""
    unpack(checkout)
    other = run(checkout, "hash-object", "-w", "--stdin", input=b"FIRST")
    name = run(checkout, "rev-parse", "HEAD:file.txt")
    place = checkout / ".git/objects"
    (place / name[:2] / name[2:]).unlink()
    (place / other[:2] / other[2:]).rename(place / name[:2] / name[2:])
    assert run(checkout, "show", "HEAD:file.txt") == "FIRST"


def lose_object(checkout: Path) -> None:
    unpack(checkout)
    name = run(checkout, "rev-parse", "HEAD:file.txt")
    (checkout / ".git/objects" / name[:2] / name[2:]).unlink()


def damage_pack(checkout: Path) -> None:
    pack = next(checkout.glob(".git/objects/pack/*.pack"))
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    pack.chmod(0o644)
    pack.write_bytes(content)


def use_alternates(checkout: Path) -> None:
    shutil.move(checkout / ".git/objects", checkout.parent / "elsewhere")
    (checkout / ".git/objects/info").mkdir(parents=True)
    (checkout / ".git/objects/info/alternates").write_text(f"{checkout.parent}/elsewhere\n")


def relink(path: Path, target: str | Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def plant_pipe(checkout: Path) -> None:
    (checkout / ".git/HEAD").unlink()
    os.mkfifo(checkout / ".git/HEAD")


def append_setting(checkout: Path) -> None:
    with (checkout / ".git/config").open("a") as file:
        file.write("[core]\n\tfsmonitor = touch /tmp/never\n")


def make_hook(checkout: Path) -> None:
    (checkout / ".git/hooks").mkdir()
    (checkout / ".git/hooks/post-checkout").write_text("#!/bin/sh\n")


ELSEWHERE = "a repository elsewhere"
CHANGES: dict[str, Callable[[Path], object]] = {
    "an edit that git status does not see": edit_unseen,
    "an edit that the index has": edit_with_its_index,
    "a damaged pack": damage_pack,
    "an object with other content": replace_object,
    "an object that is gone": lose_object,
    "objects elsewhere": use_alternates,
    "a new file": lambda it: (it / "new.txt").touch(),
    "an empty directory": lambda it: (it / "empty").mkdir(),
    "a file that is gone": lambda it: (it / "docs/deep/page \u00e9.md").unlink(),
    "a mode": lambda it: (it / "run.sh").chmod(0o644),
    "a link in place of a file": lambda it: relink(it / "file.txt", "docs/deep/page \u00e9.md"),
    "another target of a link": lambda it: relink(it / "link", "x"),
    "a hard link": lambda it: os.link(it / "file.txt", it.parent / "same"),
    "a flag in the index": lambda it: run(it, "update-index", "--assume-unchanged", "file.txt"),
    "a setting": append_setting,
    "a hook": make_hook,
    "a branch": lambda it: run(it, "branch", "mine"),
    "more history": lambda it: (it / ".git/shallow").unlink(),
    "a pipe": plant_pipe,
    ELSEWHERE: lambda it: relink(it / ".git", shutil.move(str(it / ".git"), it.parent / "dot")),
}


def test_a_copy_of_an_unchanged_checkout_is_exact(made: tuple[Origin, Path], kept: Path) -> None:
    assert is_exact(kept, made[0])
    unpack(kept)
    assert is_exact(kept, made[0])


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_is_found(made: tuple[Origin, Path], kept: Path, change: str) -> None:
    CHANGES[change](kept)

    assert not is_exact(kept, made[0])


@pytest.mark.slow
@pytest.mark.parametrize("change", [name for name in CHANGES if name not in {ELSEWHERE, "a pipe"}])
def test_a_changed_checkout_is_replaced_by_a_right_one(
    made: tuple[Origin, Path], kept: Path, change: str
) -> None:
    before = identity(kept)
    CHANGES[change](kept)

    outputs = clone(made[0], kept)

    assert outputs.commit == made[0].head
    assert identity(kept) != before
    assert (kept / "file.txt").read_text() == "first"
    run(kept, "fsck", "--full", "--strict")
    run(kept, "diff", "--exit-code", "HEAD")
    entries = sorted(path.name for path in kept.iterdir())
    assert entries == [".git", "docs", "file.txt", "link", "run.sh"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [{"depth": 0}, {"depth": 2}, {"tags": True}, {"sparse_checkout_directories": ("docs",)}],
    ids=str,
)
def test_what_a_plain_checkout_does_not_have_is_fetched(
    made: tuple[Origin, Path], kept: Path, more: dict[str, object]
) -> None:
    before = identity(kept)

    clone(made[0], kept, **more)

    assert identity(kept) != before


@pytest.mark.slow
def test_attributes_that_convert_files_are_not_taken_for_right(
    origin: Origin, source: Path
) -> None:
    origin.commit("*.txt text eol=crlf\n", ".gitattributes")
    clone(origin, source)
    (source / "file.txt").write_bytes((origin.path / "file.txt").read_bytes())  # as it is stored
    before = identity(source)

    clone(origin, source)

    assert identity(source) != before


def test_a_link_out_of_an_unchanged_checkout_is_still_refused(origin: Origin, source: Path) -> None:
    (origin.path / "out").symlink_to("/etc/hosts")
    origin.commit("x")
    clone(origin, source)
    before = identity(source)

    error = failed(origin, source, outside_links="refuse")

    assert isinstance(error, UserCodeError)
    assert "out -> /etc/hosts" in str(error)
    assert identity(source) == before
