"""Prove that a checkout is what a fresh clone of its commit would be: it is not fetched again then.

All content is held against the commit's own id: the commit, its trees and blobs in the object
store, the index, and each file. So it does not matter what a notebook or a user may have done to
any of them, times and settings included. A doubt means that the checkout is fetched anew.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stepkit.errors import StepError
from stepkit.git import commands, extra_refs, lfs

if TYPE_CHECKING:
    from collections.abc import Collection
    from io import BufferedReader

    from stepkit.git.fetch import Wanted

# A fresh repository has no other files: no hooks, alternates, grafts, references or stashes.
_FRESH: Final = re.compile(
    r"FETCH_HEAD|HEAD|config|index|shallow|logs/HEAD|objects/[0-9a-f]{2}/[0-9a-f]{38}"
    r"|objects/pack/pack-[0-9a-f]{40}\.(pack|idx|rev)"
)
# With these attributes a checkout writes other bytes than the blob has.
_CONVERTING: Final = re.compile(rb"eol *= *crlf|ident|working-tree-encoding|filter")
_DIRECTORY, _LINK, _SUBMODULE = b"40000", b"120000", commands.SUBMODULE.encode()
_CHUNK: Final = 2**18  # bytes


@dataclass(frozen=True)
class _Objects:
    """The objects whose content has their id: names of blobs, entries of trees, text of commits."""

    blobs: set[str] = field(default_factory=set)
    trees: dict[str, dict[bytes, tuple[bytes, str]]] = field(default_factory=dict)
    commits: dict[str, bytes] = field(default_factory=dict)


def recorded_commit(checkout: Path, url: str, wanted: Wanted) -> str | None:
    """Return the commit that stepkit fetched from ``url`` as ``wanted``, as far as this can tell.

    Only settings and the names of files are read. None for a repository that has others than a
    fresh one, and for more than one commit with its files: other depths, tags, sparse checkouts.
    """
    more = (wanted.refspecs, wanted.tags, wanted.filter, wanted.sparse, wanted.submodule_paths)
    if any(more) or wanted.depth != 1:
        return None
    repository = checkout / ".git"
    try:
        if not _has_fresh_files(repository):
            return None
        commit = (repository / "HEAD").read_text().strip()
        expected = {
            "core.repositoryformatversion": "0",
            "core.filemode": "true",
            "core.bare": "false",
            "core.logallrefupdates": "true",
            "remote.origin.url": url,
            "remote.origin.fetch": "+refs/heads/*:refs/remotes/origin/*",
            f"{commands.MARK}.commit": commit,
        }
        plain = sorted(extra_refs.read_settings(checkout)) == sorted(expected.items())
        once = len((repository / "logs/HEAD").read_text().splitlines()) == 1
    except (StepError, OSError, ValueError):
        return None
    return commit if plain and once else None


def is_exact(
    checkout: Path, commit: str, wanted: Wanted, *, ignore: Collection[str], timeout: float
) -> bool:
    """Return whether a checkout for which :func:`recorded_commit` is ``commit`` is exactly that.

    Entries named in ``ignore`` do not count. Files in Git LFS and ``wanted`` submodules are not
    examined: with those it is not. ``timeout`` is in seconds, for each git command.
    """
    try:
        with commands.all_objects(checkout, timeout=timeout) as printed:
            objects = _verify(printed)
        head, _, _ = objects.commits[commit].partition(b"\n\n")
        shallow = checkout / ".git/shallow"
        cut = shallow.read_text() if shallow.exists() else ""
        if cut != f"{commit}\n" and (cut or b"\nparent " in head):
            return False
        root = head.split()[1].decode()
        listed = _compare(checkout, root, objects, {".git", *ignore}, wanted)
        index = commands.run("ls-files", "-v", "--stage", "-z", cwd=checkout, timeout=timeout)
        return set(index.split("\0")[:-1]) == listed
    except (StepError, OSError, ValueError, LookupError):
        return False


def _has_fresh_files(repository: Path) -> bool:
    """Return whether all below ``repository`` are directories, and files that a fresh one has."""
    for folder, folders, names in os.walk(repository):
        inside = os.path.relpath(folder, repository)
        if any(Path(folder, name).is_symlink() for name in folders):
            return False
        for name in names:
            regular = stat.S_ISREG(Path(folder, name).lstat().st_mode)
            if not regular or not _FRESH.fullmatch(os.path.normpath(f"{inside}/{name}")):
                return False
    return True


def _verify(printed: BufferedReader) -> _Objects:
    """Read all objects. Raises :class:`ValueError` for one whose content does not have its id."""
    objects, buffer = _Objects(), memoryview(bytearray(_CHUNK))
    while header := printed.readline():
        name, kind, length = header.decode().split()
        # git itself refuses the two files of a known SHA-1 collision when it fetches them.
        digest = hashlib.sha1(f"{kind} {length}\0".encode(), usedforsecurity=False)
        left, kept = int(length), bytearray()
        while left:
            count = printed.readinto(buffer[: min(left, _CHUNK)])
            digest.update(buffer[:count])
            if kind != "blob":
                kept += buffer[:count]
            if not count:
                raise ValueError(header)
            left -= count
        if digest.hexdigest() != name or printed.read(1) != b"\n":
            raise ValueError(header)
        if kind == "tree":
            objects.trees[name] = _entries(bytes(kept))
        elif kind == "commit":
            objects.commits[name] = bytes(kept)
        else:
            objects.blobs.add(name)
    return objects


def _entries(tree: bytes) -> dict[bytes, tuple[bytes, str]]:
    """Return the mode and the object of each entry of a tree."""
    entries, at = {}, 0
    while at < len(tree):
        space = tree.index(b" ", at)
        end = tree.index(b"\0", space)
        entries[tree[space + 1 : end]] = (tree[at:space], tree[end + 1 : end + 21].hex())
        at = end + 21
    return entries


def _compare(
    checkout: Path, root: str, objects: _Objects, ignore: Collection[str], wanted: Wanted
) -> set[str] | None:
    """Return what git lists of an index with all entries of the tree ``root``.

    None means that the files and directories below ``checkout`` are not those of the tree.
    """
    listed, skipped = set(), {os.fsencode(name) for name in ignore}
    pending = [(os.fsencode(checkout), b"", root)]
    while pending:
        directory, prefix, tree = pending.pop()
        entries = objects.trees[tree]
        with os.scandir(directory) as scanned:
            found = {entry.name: entry for entry in scanned}
        if found.keys() - (skipped if not prefix else set()) != entries.keys():
            return None
        for name, (mode, blob) in entries.items():
            entry = found[name]
            if mode == _DIRECTORY:
                if entry.is_symlink() or entry.stat().st_uid != os.geteuid():
                    return None
                pending.append((entry.path, prefix + name + b"/", blob))
                continue
            stored = blob in objects.blobs or mode == _SUBMODULE
            if not (stored and _is_entry(entry, mode, blob, wanted)):
                return None
            listed.add(f"H {mode.decode()} {blob} 0\t{os.fsdecode(prefix + name)}")
    return listed


def _is_entry(entry: os.DirEntry[bytes], mode: bytes, blob: str, wanted: Wanted) -> bool:
    """Return whether a file or link has the mode and the content that a checkout would write."""
    found = entry.stat(follow_symlinks=False)
    kind, path = stat.S_IFMT(found.st_mode), Path(os.fsdecode(entry.path))
    if mode == _SUBMODULE:
        right = kind == stat.S_IFDIR and not any(path.iterdir()) and not wanted.submodules
    elif mode == _LINK:
        right = kind == stat.S_IFLNK and _blob_name(os.fsencode(path.readlink())) == blob
    else:
        executable = b"100755" if found.st_mode & stat.S_IXUSR else b"100644"
        right = kind == stat.S_IFREG and found.st_nlink == 1 and executable == mode
        right = right and _has_content(path, blob, found.st_size, wanted)
    return right and found.st_uid == os.geteuid()


def _has_content(path: Path, blob: str, size: int, wanted: Wanted) -> bool:
    """Return whether a file is the blob, and a checkout would write the blob as it is."""
    digest, beginning = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False), b""
    with path.open("rb", 0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            beginning = beginning or chunk
    if path.name == ".gitattributes" and (size > _CHUNK or _CONVERTING.search(beginning)):
        return False
    return digest.hexdigest() == blob and (wanted.pointers or not lfs.is_pointer(beginning))


def _blob_name(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0%s" % (len(content), content), usedforsecurity=False).hexdigest()
