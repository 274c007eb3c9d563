"""Mask secrets in what a cluster prints."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from stepkit.redaction import MASK, SHORTEST_SECRET, redact

_WORDS: Final = (
    r"token|secret|passw|passphrase|credential|signature|cookie|authorization"
    r"|(?:api|access|private)[-_.]?key|webhook[-_.]?url|connection[-_.]?string"
)
_SECRET_NAME: Final = re.compile(_WORDS, re.IGNORECASE)
# Keys of Kubernetes that only sound secret: they hold names and numbers.
_HARMLESS: Final = re.compile(
    r"secretName|imagePullSecrets?|tokenExpirationSeconds|automountServiceAccountToken"
    r"|disable-creds-init|require-git-ssh-secret-known-hosts|(mountable |image pull )?secrets",
    re.IGNORECASE,
)
_REFERENCE: Final = re.compile(r"\$\([^()]*\)")
# Annotations that hold a copy of the whole object, as text.
_COPIES: Final = ("kubectl.kubernetes.io/last-applied-configuration",)

# What services' own tokens look like, and what stands beside such a name in a log.
_SHAPES: Final = (
    re.compile(r"\b(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{16,}"),
    re.compile(r"\bglpat-[A-Za-z0-9_-]{16,}"),
    re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    re.compile(r"\b(?:hf_|nvapi-|sk-|npm_|dckr_pat_|pypi-)[A-Za-z0-9_-]{16,}"),
    re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
               re.DOTALL),
    re.compile(r"(?i)(?<=[?&]sig=)[^&\s\"']+"),
    re.compile(r"(?<=hooks\.slack\.com/)[\w/-]+"),
    re.compile(r"(?i)(?<=\bbearer )[\w.~+/=-]{8,}|(?<=\bbasic )[\w+/=-]{8,}"),
)  # fmt: skip
# Names of at most 64 characters to each side, from a word's start on: a log may have lines of
# megabytes.
_BESIDE: Final = re.compile(
    rf"""(?ix)
    (?<![\w.-]) (?P<name> [\w.-]{{0,64}} (?: {_WORDS} ) [\w.-]{{0,64}} )
    (?P<between> ["']? \s* [=:] \s* ["']? )
    (?P<value> (?! < | \* | \$\( | true\b | false\b | null\b | none\b ) [^\s"',;&}}\]]{{4,}} )
    """
)


@dataclass
class Scrubber:
    """Masks secrets, and remembers them: they are masked in any other place, too.

    ``names`` are names of Secret objects: a param that holds one of these is not a secret.
    """

    names: frozenset[str] = frozenset()
    found: set[str] = field(default_factory=set)

    def object(self, thing: Any) -> Any:
        """Return a copy of a Kubernetes object without secrets, and without copies of itself.

        It masks the values of environment variables, params, results and keys whose name sounds
        secret.
        """
        if isinstance(thing, list):
            return [self.object(item) for item in thing]
        if not isinstance(thing, dict):
            return self.text(thing) if isinstance(thing, str) else thing
        name = thing.get("name")
        named = isinstance(name, str) and _sounds_secret(name)
        return {
            key: self._mask(value)
            if _sounds_secret(key) or (named and key in {"value", "default"})
            else self.object(value)
            for key, value in thing.items()
            if key != "managedFields" and key not in _COPIES
        }

    def text(self, text: str) -> str:
        """Return ``text`` without the secrets found so far, and without what looks like one."""
        for shape in _SHAPES:
            text = shape.sub(MASK, text)
        return redact(_BESIDE.sub(self._beside, text), self.found)

    def last(self, text: str) -> str:
        """Return ``text`` without any of the secrets found so far."""
        return redact(text, self.found)

    def _beside(self, found: re.Match[str]) -> str:
        if not _sounds_secret(found["name"]) or found["value"] in self.names:
            return found[0]
        return f"{found['name']}{found['between']}{MASK}"

    def _mask(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._mask(item) for item in value]
        if isinstance(value, dict):  # such as secretKeyRef: a name and a key
            return self.object(value)
        if not isinstance(value, str) or not value or value in self.names:
            return value
        if _REFERENCE.fullmatch(value):
            return value
        if len(value) >= SHORTEST_SECRET:
            self.found.add(value)
        return MASK


def _sounds_secret(name: str) -> bool:
    return bool(_SECRET_NAME.search(name)) and not _HARMLESS.fullmatch(name)
