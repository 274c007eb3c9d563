"""Waiting for what another thread or process does."""

import time
from collections.abc import Callable

SOON = 60  # seconds that a busy machine may take for what is immediate


def until(true: Callable[[], object]) -> None:
    """Return once ``true()`` is true; fail if that takes longer than it may."""
    end = time.monotonic() + SOON
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
