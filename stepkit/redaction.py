"""Keep secrets out of what stepkit writes: logs, reports, results."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK = "***"
SHORTEST_SECRET = 4  # characters; masking shorter ones would only garble the text

_USERINFO = re.compile(r"(?<=://)[^/@\s\"']+@")


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Mask ``secrets`` in ``text``, and whatever stands before the host in a URL."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, MASK)
    return _USERINFO.sub(f"{MASK}@", text)
