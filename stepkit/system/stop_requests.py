"""Requests to stop: SIGINT, SIGTERM and SIGHUP, noted when they come and raised until one is taken.

An exception that the handler of a signal raises may be lost: Python drops it in a callback or a
destructor that it calls itself, replaces it in the body of a class, and a library may catch it.
The handler therefore notes the signal, and a timer raises it again until :func:`take` says that the
step ends. During an import, which may do all of that, the timer waits.

This module is imported before all others and imports little.
"""

from __future__ import annotations

import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from stepkit.errors import STOPPING, Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    Handler = Callable[[int, FrameType | None], None]

_AGAIN_SECONDS: Final = 0.2
_IMPORT_SECONDS: Final = 5.0  # that an import may take until it is interrupted all the same
_IMPORT_SYSTEM: Final = "<frozen importlib._bootstrap>"
_DEEPEST: Final = 100  # exceptions that are handled at the same time, one inside the other


class _Request:
    signum: int | None = None  # the first that came
    since = 0.0  # when, by the monotonic clock
    raising = False  # whether one that comes is raised


_request: Final = _Request()


def install(handler: Handler) -> None:
    """Have the signals that ask to stop handled by ``handler``, in the main thread.

    An ignored SIGHUP stays ignored, as nohup wants it, and an ignored SIGINT, as a shell wants it
    for what it runs in the background.
    """
    for signum in STOPPING:
        if signum == signal.SIGTERM or signal.getsignal(signum) != signal.SIG_IGN:
            signal.signal(signum, handler)


def note() -> None:
    """Note a signal that comes from now on, for :func:`begin`. Call this first of all."""
    install(_receive)


@contextmanager
def handled() -> Iterator[None]:
    """Note signals during the block, and raise them between :func:`begin` and :func:`take`.

    At its end the handlers are as before, and what was noted is forgotten. Outside of the main
    thread, which alone can handle signals, this does nothing.
    """
    import threading

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.getsignal(signum) for signum in (*STOPPING, signal.SIGALRM)}
    try:
        signal.signal(signal.SIGALRM, _remind)
        note()
        yield
    finally:
        take()
        for signum, action in before.items():
            signal.signal(signum, action)
        _request.signum = None


def begin() -> None:
    """Raise :class:`~stepkit.errors.Cancelled` for a signal that has come, or comes from now on.

    It is raised again and again until :func:`take`, but not while it is being handled: a second
    signal does not interrupt what saves and ends after the first.
    """
    _request.raising = True
    if _request.signum is not None:
        _raise(_request.signum, None)


def take() -> None:
    """Say that the caller ends, for a signal or by itself: from now on none is raised."""
    _request.raising = False
    signal.setitimer(signal.ITIMER_REAL, 0)


def ignore() -> None:
    """Ignore the signals: the verdict is written, and Python's own exit must not change it."""
    for signum in STOPPING:
        signal.signal(signum, signal.SIG_IGN)


def _receive(signum: int, frame: FrameType | None) -> None:
    if _request.signum is None:
        _request.signum, _request.since = signum, time.monotonic()
    if _request.raising:
        _raise(_request.signum, frame)


def _remind(_: int, frame: FrameType | None) -> None:
    """Raise a signal again that is not taken, or send it to the handler that has come instead."""
    if not _request.raising or _request.signum is None:
        return
    if signal.getsignal(_request.signum) is not _receive:
        take()
        signal.raise_signal(_request.signum)
    else:
        _raise(_request.signum, frame)


def _raise(signum: int, frame: FrameType | None) -> None:
    """Raise a signal where it interrupts ``frame``, unless that has to wait; try again later."""
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
    if not _is_handled() and not _is_importing(frame):
        raise Cancelled(signum)


def _is_handled() -> bool:
    """Return whether the interrupted code handles the exception: an except, finally or with."""
    error = sys.exception()
    for _ in range(_DEEPEST):
        if error is None or isinstance(error, KeyboardInterrupt):
            break
        error = error.__context__
    return isinstance(error, KeyboardInterrupt)


def _is_importing(frame: FrameType | None) -> bool:
    if time.monotonic() > _request.since + _IMPORT_SECONDS:
        return False
    while frame and frame.f_code.co_filename != _IMPORT_SYSTEM:
        frame = frame.f_back
    return frame is not None
