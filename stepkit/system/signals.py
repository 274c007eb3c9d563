"""Run work that a signal must not interrupt half-way in another thread, and ask it to end."""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from stepkit.errors import STOPPING
from stepkit.system import stop_requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

logger = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.2


@contextmanager
def _handled(by: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Have the signals that ask to stop handled ``by`` a function while the block runs.

    Outside of the main thread, which alone can handle signals, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.getsignal(signum) for signum in STOPPING}
    try:
        stop_requests.install(by)
        yield
    finally:
        for signum, action in before.items():
            signal.signal(signum, action)


def run_stoppable(
    work: Callable[[], None], *, stop: threading.Event, kill: threading.Event, message: str
) -> int | None:
    """Run ``work`` in a separate thread; return the number of the signal that ended it, if any.

    The first signal sets ``stop`` and logs ``message``. A second Ctrl-C sets ``kill``; any other
    signal changes nothing. Signals raise no exception meanwhile, so that none interrupts ``work``.
    """
    from concurrent.futures import ThreadPoolExecutor

    # A put may be interrupted by another put; the set of an event would wait for itself.
    received: SimpleQueue[int | None] = SimpleQueue()
    first: int | None = None
    with ThreadPoolExecutor(1) as pool:
        try:
            with _handled(lambda signum, _: received.put(signum)):
                future = pool.submit(work)
                future.add_done_callback(lambda _: received.put(None))
                for signum in _until_none(received):
                    if first is None:
                        first = signum
                        stop.set()
                        logger.warning("%s", message)
                    elif signum == signal.SIGINT:
                        kill.set()
            future.result()
        finally:
            stop.set()
            kill.set()
    return first


def _until_none(received: SimpleQueue[int | None]) -> Iterator[int]:
    """Yield what is put in the queue.

    The wait times out again and again: Python then handles signals that did not wake this thread.
    """
    while True:
        with suppress(Empty):
            if (signum := received.get(timeout=_POLL_SECONDS)) is None:
                return
            yield signum
