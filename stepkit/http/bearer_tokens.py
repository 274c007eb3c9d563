"""Bearer tokens by name: each is a file of a mounted secret, or comes by the environment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stepkit import redaction
from stepkit.errors import ConfigurationError, Reason
from stepkit.formats.did_you_mean import did_you_mean
from stepkit.http import safe_urls
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def find(name: str, directory: Path | None, given: Mapping[str, str | None]) -> str:
    """Return the token ``name``: from the file of that name in ``directory``, or from ``given``.

    Raises :class:`ConfigurationError` with the reason ``auth`` when there is none.
    """
    found: dict[str, str] = {known: token for known, token in given.items() if token}
    if directory:
        with atomic_files.explaining(f"cannot read the directory of tokens {directory}"):
            paths = [p for p in directory.iterdir() if p.is_file() and p.name[0] != "."]
        found = dict.fromkeys((path.name for path in paths), "") | found
        for path in paths:
            if path.name == name:
                try:
                    found[name] = atomic_files.read(path).decode()
                except UnicodeDecodeError as error:
                    message = f"cannot read the token in {path}: it is not text"
                    raise ConfigurationError(message) from error
    token = found.get(name, "").strip()
    redaction.register(token)
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
    """Refuse to send a token to a server outside ``allowed``; an empty list allows all.

    Raises :class:`ConfigurationError`.
    """
    for one in allowed:
        safe_urls.check_url(one)
    if allowed and safe_urls.origin(url) not in {safe_urls.origin(one) for one in allowed}:
        raise ConfigurationError(
            f"{safe_urls.masked(url)} may not get a token: tokens are for "
            f"{', '.join(allowed)} alone",
            reason=Reason.AUTH,
        )
