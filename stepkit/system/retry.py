"""Retry what failed with a ToolError, by tenacity."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from stepkit.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenacity import RetryCallState, Retrying

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)

_LONGEST_RETRY_AFTER: Final = 300.0  # seconds


def retrying(attempts: int) -> Retrying:
    """Retry after a :class:`ToolError` alone, with at most ``attempts`` calls in all.

    Waits between attempts are random, up to 2, 4, 8 ... 60 seconds ("full jitter", so that many
    pods that failed together do not retry together). A server that asks for a longer wait gets it,
    up to five minutes.
    """
    import tenacity

    random_wait = tenacity.wait_random_exponential(multiplier=1, max=60)
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(ToolError),
        stop=tenacity.stop_after_attempt(attempts),
        wait=lambda state: max(random_wait(state), asked_for(state)),
        before_sleep=_log,
        reraise=True,
    )


def call(attempts: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what ``function`` returns, and call it again as :func:`retrying` says.

    tenacity is imported after a failure alone: it imports asyncio and tornado.
    """
    try:
        return function(*args, **kwargs)
    except ToolError as error:
        failed = [error]

    def attempt() -> T:
        if failed:
            raise failed.pop()
        return function(*args, **kwargs)

    return retrying(attempts)(attempt)


def asked_for(state: RetryCallState) -> float:
    """Return how many seconds the server asked to wait after the failed attempt, within limits."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, ToolError) else None
    return min(asked or 0.0, _LONGEST_RETRY_AFTER)


def _log(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    wait = state.next_action.sleep if state.next_action else 0
    logger.warning("attempt %d failed: %s; again in %.0f s", state.attempt_number, error, wait)
