"""What the status of an HTTP answer means for whoever asked (RFC 9110, RFC 6585, RFC 8470)."""

from __future__ import annotations

from typing import Final

DENIED: Final = frozenset({401, 403, 407})
MISSING: Final = frozenset({404, 410})
REDIRECT: Final = 300  # the least of those that lead elsewhere
REFUSED: Final = 400  # the least of those that are the asker's fault

_BUSY: Final = frozenset({408, 425, 429})
_SERVER_ERROR: Final = 500


def may_pass(status: int) -> bool:
    """Tell whether the same request may fare better later."""
    return status in _BUSY or status >= _SERVER_ERROR
