"""Signals that ask to stop, and work that none of them interrupts."""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from stepkit.errors import STOPPING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from signal import Signals
    from types import FrameType

logger = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.2


@contextmanager
def handled(by: Callable[[int, FrameType | None], None], *signals: Signals) -> Iterator[None]:
    """Have ``signals`` handled ``by`` a function while the block runs.

    At its end all of :data:`STOPPING` are handled as before, whatever the block made of them. A
    SIGHUP that is ignored stays so: that is what nohup is for. In a thread other than the main one,
    which alone can handle signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.getsignal(signum) for signum in STOPPING}
    try:
        for signum in signals:
            if signum != signal.SIGHUP or before[signum] != signal.SIG_IGN:
                signal.signal(signum, by)
        yield
    finally:
        for signum, action in before.items():
            signal.signal(signum, action)


def outlasted(
    work: Callable[[], None], *, stop: threading.Event, kill: threading.Event, told: str
) -> int | None:
    """Do ``work`` in a thread of its own; return the number of the signal that ended it, if any.

    The first signal sets ``stop`` and logs what was ``told``; a second Ctrl-C sets ``kill``,
    another signal changes nothing. No signal is an exception meanwhile, so that none interrupts
    what is half done.
    """
    from concurrent.futures import ThreadPoolExecutor

    # Its put may be interrupted by another put: an event's set would wait for itself.
    came: SimpleQueue[int | None] = SimpleQueue()
    first: int | None = None
    with ThreadPoolExecutor(1) as pool:
        try:
            with handled(lambda signum, _: came.put(signum), *STOPPING):
                future = pool.submit(work)
                future.add_done_callback(lambda _: came.put(None))
                for signum in _until_none(came):
                    if first is None:
                        first = signum
                        stop.set()
                        logger.warning("%s", told)
                    elif signum == signal.SIGINT:
                        kill.set()
            future.result()
        finally:
            stop.set()
            kill.set()
    return first


def _until_none(came: SimpleQueue[int | None]) -> Iterator[int]:
    """Yield what comes. Python handles a signal that wakes up nobody when the wait times out."""
    while True:
        with suppress(Empty):
            if (signum := came.get(timeout=_POLL_SECONDS)) is None:
                return
            yield signum
