"""What the status of an HTTP answer means for the caller: whose fault it is, and whether to retry.

Statuses are those of RFC 9110, RFC 6585 and RFC 8470.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, Reason, ToolError

if TYPE_CHECKING:
    from stepkit.errors import StepError

DENIED: Final = frozenset({401, 403, 407})
REDIRECTION: Final = 300  # the first of the statuses that lead elsewhere
CLIENT_ERROR: Final = 400  # the first of the statuses that blame the client

_NOT_FOUND: Final = frozenset({404, 410})
_BUSY: Final = frozenset({408, 425, 429})
_SERVER_ERROR: Final = 500


def worth_retrying(status: int) -> bool:
    """Whether the same request may succeed later."""
    return status in _BUSY or status >= _SERVER_ERROR


def refusal(
    status: int, message: str, *, if_denied: str, if_missing: str, retry_after: str = ""
) -> StepError:
    """Return the error for an answer that is not a success.

    ``message`` begins the error's text; ``if_denied`` and ``if_missing`` are the advice that is
    added for a client without access and for a missing resource. ``retry_after`` is the header.
    """
    if worth_retrying(status):
        busy = ToolError(message, reason=Reason.NETWORK)
        busy.retry_after = retry_after_seconds(retry_after)
        return busy
    if status in DENIED:
        return ConfigurationError(f"{message}: {if_denied}", reason=Reason.AUTH)
    if status in _NOT_FOUND:
        return ConfigurationError(f"{message}: {if_missing}", reason=Reason.NOT_FOUND)
    return ConfigurationError(message)


def retry_after_seconds(text: str) -> float | None:
    """Read ``Retry-After``: seconds or a date (RFC 9110, 10.2.3); None for anything else."""
    from email.utils import parsedate_to_datetime

    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())
