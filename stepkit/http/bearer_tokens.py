"""Tokens by name: each from a file of a mounted secret, or from the environment's one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stepkit.errors import ConfigurationError, Reason
from stepkit.formats.did_you_mean import did_you_mean
from stepkit.http import get
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def named(name: str, directory: Path | None, given: Mapping[str, str | None]) -> str:
    """Return the token ``name``: that in a file of ``directory``, or else of those ``given``.

    Raises :class:`ConfigurationError` with the reason ``auth`` when there is none.
    """
    found: dict[str, str] = {known: token for known, token in given.items() if token}
    if directory:
        with atomic_files.explaining(f"cannot read the directory of tokens {directory}"):
            paths = [p for p in directory.iterdir() if p.is_file() and p.name[0] != "."]
        for path in paths:
            if path.name == name:
                found[name] = _text(path)
            found.setdefault(path.name, "")
    token = found.get(name, "").strip()
    if not token:
        near = did_you_mean(name, found.keys() - {name})
        raise ConfigurationError(
            f"there is no token {name}{near}; DATASET_TOKEN is a variable of the environment, "
            "others are files of --tokens",
            reason=Reason.AUTH,
        )
    if re.search(r"[^\x21-\x7e]", token):
        raise ConfigurationError(
            f"the token {name} holds a blank, a line break or another character that no token has",
            reason=Reason.AUTH,
        )
    return token


def check_origin(url: str, allowed: Sequence[str]) -> None:
    """Refuse a token to a server that is not in ``allowed``, where anything is.

    Raises :class:`ConfigurationError`.
    """
    for one in allowed:
        get.check_url(one)
    if allowed and get.origin(url) not in {get.origin(one) for one in allowed}:
        raise ConfigurationError(
            f"{get.shown(url)} may get no token: tokens are for {', '.join(allowed)} alone",
            reason=Reason.AUTH,
        )


def _text(path: Path) -> str:
    try:
        return atomic_files.read(path).decode()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"cannot read the token in {path}: it is no text") from error
