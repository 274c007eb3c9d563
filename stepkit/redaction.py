"""Mask secrets in what stepkit writes: logs, reports, results."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping

MASK: Final = "***"
VARIABLE: Final = "STEPKIT_MASKED"  # set by stepkit for its own children alone
SHORTEST_SECRET: Final = 4  # characters; masking shorter ones would only garble the text
_SHORTEST_PART: Final = 8  # characters, of one line or of base64; fewer may be there by chance

# The user name of an ssh URL, mostly git, is useless without the key.
_USERINFO: Final = re.compile(r"(?<=://)(?!(?<=ssh://)[^/@:\s\"']+@)[^/@\s\"']+@")

# Parts of a signed URL: of AWS, Google and Azure, and tokens of others.
_SIGNATURE: Final = re.compile(
    r"(?i)(?<=[?&])((?:x-(?:amz|goog)-(?:signature|credential|security-token)|signature|sig"
    r"|(?:access_|private_)?token)=)([^&#\s\"']+)"
)
_PASSWORD: Final = re.compile(r"(?:://|^)[^/@:\s\"']*:([^/@\s\"']+)@")

# Variables with passwords for proxies and for indexes of packages: in a URL, or alone.
_HOLDS_URLS: Final = re.compile(r"(?i)\w+_proxy|(?:PIP|UV)_\w*(?:INDEX|FIND_LINKS)\w*")
PASSWORD_OF_INDEX: Final = re.compile(
    r"POETRY_HTTP_BASIC_\w+_PASSWORD|POETRY_PYPI_TOKEN_\w+|UV_INDEX_\w+_PASSWORD"
)

# Colours and other control sequences of a terminal.
_TERMINAL: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")

_registered: set[str] = set()


def register(*secrets: str) -> None:
    """Mask ``secrets`` in all that this process writes: for those that do not come from options.

    Whoever reads a secret from a file registers it, before anything can show it.
    """
    _registered.update(secrets)


def register_url(url: str) -> None:
    """Mask the password and the signature in ``url`` where they stand alone, too."""
    from urllib.parse import unquote

    found = [*_PASSWORD.findall(url), *(signed[2] for signed in _SIGNATURE.finditer(url))]
    register(*found, *map(unquote, found))


def register_variables(environment: Mapping[str, str]) -> None:
    """Mask the passwords of proxies and package indexes, which children may need and print."""
    for name, value in environment.items():
        if PASSWORD_OF_INDEX.fullmatch(name) and len(value) >= _SHORTEST_PART:
            register(value)
        elif _HOLDS_URLS.fullmatch(name):
            register_url(value)


def child_environment() -> dict[str, str]:
    """Return what to add to the environment of a stepkit process that is to mask the same."""
    return {VARIABLE: json.dumps(sorted(_registered))}


def register_of_parent(environment: MutableMapping[str, str]) -> None:
    """Mask what the parent masks, if ``environment`` says so.

    The variable is removed, so that no child of this process inherits it.
    """
    with suppress(ValueError, TypeError):  # somebody else's variable of that name
        register(*map(str, json.loads(environment.pop(VARIABLE, "[]"))))


def known() -> frozenset[str]:
    """Return the registered secrets that are too long to be part of a file's own syntax."""
    return frozenset(secret for secret in _registered if len(secret) >= _SHORTEST_PART)


def mask(text: str) -> str:
    """Mask what is :func:`known` in ``text``, a part of a user's file; its URLs stay."""
    return _without(text, _spelled(known()))


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Mask ``secrets`` in ``text``, and in each URL the user, the password and a signature.

    So are those that were registered. A secret is also masked as it is spelled in JSON, Python, a
    shell, a URL, HTML, hexadecimal or base64, and without the blanks and line breaks around it;
    each line of it is a secret too. Where colours of a terminal stand inside of one, ``text`` loses
    its colours.
    """
    ordered = _spelled({*secrets, *_registered})
    masked = _masked(text, ordered)
    if "\x1b" in masked:
        plain = _TERMINAL.sub("", masked)
        if (found := _masked(plain, ordered)) != plain:
            return found
    return masked


def _spelled(secrets: Iterable[str]) -> list[str]:
    return sorted({form for one in secrets for form in forms(one)}, key=len, reverse=True)


def _masked(text: str, spelled: Iterable[str]) -> str:
    text = _USERINFO.sub(f"{MASK}@", _without(text, spelled))
    return _SIGNATURE.sub(rf"\1{MASK}", text)


def _without(text: str, spelled: Iterable[str]) -> str:
    for form in spelled:
        text = text.replace(form, MASK)
    return text


@lru_cache(maxsize=1024)  # each line of a log asks for the same few secrets
def forms(secret: str) -> frozenset[str]:
    """Return the spellings of ``secret`` in a text; none if it is too short to be masked."""
    lines = (line.strip() for line in secret.splitlines())
    parts = {secret, secret.strip(), *(line for line in lines if len(line) >= _SHORTEST_PART)}
    return frozenset(
        form for part in parts if len(part) >= SHORTEST_SECRET for form in _spellings(part)
    )


def _spellings(secret: str) -> set[str]:
    import base64
    import html
    from urllib.parse import quote, quote_plus

    raw = secret.encode("utf-8", "surrogateescape")
    encoded = {base64.b64encode(raw).decode()}
    for before, first in enumerate((0, 2, 3)):  # bytes before it, and characters that they change
        last = (before + len(raw)) * 8 // 6  # the next character depends on what follows
        inner = base64.b64encode(bytes(before) + raw).decode()[first:last]
        if len(inner) >= _SHORTEST_PART:
            encoded.add(inner)
    quoted = {quote(raw, safe=""), quote(raw), quote_plus(raw)}
    literals = {
        secret,
        raw.decode(errors="replace"),  # how the output of a child shows bytes that are not text
        json.dumps(secret)[1:-1],
        json.dumps(secret)[1:-1].replace("/", "\\/"),
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        repr(f'"{secret}')[2:-1],  # as part of a text with the other quotes in it
        ascii(secret)[1:-1],
        repr(raw)[2:-1],
    }
    return {
        *literals,
        *map(html.escape, literals),
        *(json.dumps(text)[1:-1] for text in literals),
        raw.hex(),
        secret.replace("'", "'\"'\"'"),  # shlex.quote
        html.escape(secret, quote=False),
        *quoted,
        *(re.sub("%..", lambda found: found[0].lower(), text) for text in quoted),
        *encoded,
        *(text.translate(str.maketrans("+/", "-_")) for text in encoded),
    }
