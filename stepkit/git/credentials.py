"""Read the credentials for servers from a token or from a mounted Secret."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from stepkit import redaction
from stepkit.errors import ConfigurationError, Reason
from stepkit.git import urls
from stepkit.git.environment import Credential, origin
from stepkit.system import atomic_files, time_limit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = logging.getLogger(__name__)

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_READ: Final = 60.0  # seconds, for a mounted Secret


def from_token(
    username: str, token: str | None, token_file: Path | None, *, timeout: float
) -> Credential | None:
    """Return the credential for the repository's own host, or None without a token.

    ``token_file`` takes precedence over ``token``; it may be a pipe, for which ``timeout`` is in
    seconds. Raises :class:`ConfigurationError`.
    """
    text = token or ""
    if token_file:
        text = _read_text(token_file, f"the token file {token_file}", timeout)
    return _credential(username, text.strip()) if text.strip() else None


def from_directory(directory: Path, url: str) -> tuple[Credential, ...]:
    """Return the credentials in a ``basic-auth`` workspace, each for its own host.

    They are in ``.git-credentials``, as git-credential-store(1) writes it, or in the files
    ``username`` and ``password`` of a Secret of type ``kubernetes.io/basic-auth``, for the host of
    ``url``. A ``.gitconfig`` beside them is not read.

    Raises :class:`ConfigurationError`.
    """
    stored, password = directory / ".git-credentials", directory / "password"
    with atomic_files.explaining(f"cannot read {directory}"):
        has_stored, has_password = stored.is_file(), password.is_file()
    if has_stored:
        found = tuple(_parse_stored(_read_text(stored, str(stored)), stored))
        if found and origin(url) not in {one.origin for one in found}:
            hosts = ", ".join(sorted({one.origin for one in found}))
            logger.warning("%s holds nothing for %s (only for %s)", stored, origin(url), hosts)
        return found
    if has_password:
        username = directory / "username"
        name = (
            _read_text(username, str(username)).strip() if username.is_file() else "x-access-token"
        )
        return (_credential(name, _read_text(password, str(password)).strip()),)
    raise ConfigurationError(
        f"{directory} holds neither .git-credentials nor username and password",
        reason=Reason.AUTH,
    )


def _parse_stored(text: str, path: Path) -> Iterator[Credential]:
    seen = set()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        where = f"{path}, line {number}"
        try:
            parts = urlsplit(line.strip())
            host, _ = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or parts.password is None or parts.scheme not in {"https", "http"}:
            raise ConfigurationError(f"{where}: write https://USER:TOKEN@HOST")
        place = origin(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")
        if parts.scheme == "http" and not urls.is_loopback(place):
            logger.warning("%s: not used: a token must not travel unencrypted", where)
            continue
        if place not in seen:  # the first line for a host counts, as in git
            seen.add(place)
            redaction.register(parts.password)  # as it is written here
            yield _credential(unquote(parts.username or ""), unquote(parts.password), place)


def _credential(username: str, token: str, place: str = "") -> Credential:
    redaction.register(token, f"{username}:{token}")  # a server may quote a header of either
    if _CONTROL.search(token + username):
        raise ConfigurationError("the token or user name holds a line break or control character")
    try:
        (token + username).encode()
    except UnicodeEncodeError as error:
        message = "the token or user name holds bytes that are not UTF-8 text"
        raise ConfigurationError(message) from error
    return Credential(username=username, token=token, origin=place)


def _read_text(path: Path, what: str, timeout: float = _LONGEST_READ) -> str:
    with atomic_files.explaining(f"cannot read {what}"):
        try:
            content = time_limit.within(timeout, path.read_bytes)
        except TimeoutError as error:
            message = f"cannot read {what}: nothing came within {timeout:g} s: is it a pipe?"
            raise ConfigurationError(message) from error
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"cannot read {what}: it is not UTF-8 text") from error
