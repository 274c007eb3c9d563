"""A digest of what a checkout has beyond its commit: references, submodules, settings.

It is kept in the checkout's settings. A later run compares it, and so finds a change without
running git in a submodule, whose settings may name a program.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stepkit.git import commands

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT: Final = 600.0  # seconds; a checkout on a slow disk that takes longer counts as changed
_BARE_SETTINGS: Final = re.compile(
    r"core\.(repositoryformatversion|filemode|bare|logallrefupdates|symlinks|ignorecase"
    rf"|precomposeunicode)|extensions\.objectformat|remote\.origin\.(url|fetch)|{commands.MARK}\..*"
)
_REWRITTEN: Final = "index"  # of a submodule: git status writes it anew


def read_settings(checkout: Path) -> list[tuple[str, str]]:
    """Return the names and values in ``.git/config``, without those of included files.

    Raises a StepError when git cannot read it.
    """
    config = checkout / ".git/config"
    if config.parent.is_symlink() or not config.is_file():
        return []
    return commands.read_settings(config, cwd=checkout.parent, timeout=TIMEOUT)


def digest(checkout: Path) -> str:
    """Return a SHA-256 in hexadecimal; empty if a checkout has nothing beyond its commit."""
    settings = read_settings(checkout)
    found = [f"{name}={value}" for name, value in settings if not _BARE_SETTINGS.fullmatch(name)]
    refs = commands.run("for-each-ref", cwd=checkout, timeout=TIMEOUT)
    found += refs.splitlines()
    entries = commands.run("ls-files", "--stage", "-z", cwd=checkout, timeout=TIMEOUT).split("\0")
    submodules = (entry for entry in entries if entry.startswith(f"{commands.SUBMODULE} "))
    trees = [checkout / entry.partition("\t")[2] for entry in submodules]
    trees = [tree for tree in (*trees, checkout / ".git/modules") if tree.is_dir()]
    found += [line for tree in trees for line in _describe_files(tree, checkout)]
    info = checkout / ".git/info/sparse-checkout"
    found += [info.read_text()] if info.is_file() else []
    if not found:
        return ""
    return hashlib.sha256("\0".join(found).encode("utf-8", "surrogateescape")).hexdigest()


def _describe_files(tree: Path, checkout: Path) -> Iterator[str]:
    """Yield a line for each file, link and directory below ``tree``, in a fixed order."""
    for folder, folders, names in os.walk(tree):
        folders.sort()
        for name in sorted([*folders, *names]):
            path = Path(folder, name)
            shown = path.relative_to(checkout)
            if path.is_symlink():
                yield f"{shown} -> {path.readlink()}"
            elif name == _REWRITTEN and path.with_name("HEAD").is_file():
                continue
            elif path.is_file():
                executable = bool(path.stat().st_mode & 0o100)
                with path.open("rb") as file:
                    yield f"{shown} {executable} {hashlib.file_digest(file, 'sha256').hexdigest()}"
            else:
                yield f"{shown}/"
