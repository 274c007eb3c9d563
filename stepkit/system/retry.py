"""Retry what failed with a ToolError, by tenacity."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from stepkit.errors import ToolError

if TYPE_CHECKING:
    from tenacity import RetryCallState, Retrying

logger = logging.getLogger(__name__)


def retrying(attempts: int) -> Retrying:
    """Retry after a :class:`ToolError` alone, with at most ``attempts`` calls in all.

    Waits between attempts are random, up to 2, 4, 8 ... 60 seconds ("full jitter", so that many
    pods that failed together do not retry together).
    """
    import tenacity

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(ToolError),
        stop=tenacity.stop_after_attempt(attempts),
        wait=tenacity.wait_random_exponential(multiplier=1, max=60),
        before_sleep=_log,
        reraise=True,
    )


def _log(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    wait = state.next_action.sleep if state.next_action else 0
    logger.warning("attempt %d failed: %s; again in %.0f s", state.attempt_number, error, wait)
