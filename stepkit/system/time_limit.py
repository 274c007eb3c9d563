"""Stop waiting, at a time limit, for a call that blocks: a read from a server or from a pipe."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def within(seconds: float, function: Callable[[], T]) -> T:
    """Return what ``function`` returns. Raises :class:`TimeoutError` after ``seconds``."""
    caller = Caller()
    try:
        return caller.call(function, seconds)
    finally:
        caller.end()


class Caller:
    """Makes calls in another thread, one after the other.

    Nothing can interrupt a call that takes too long: the thread ends after it, or with the process.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        threading.Thread(target=self._serve, daemon=True).start()

    def call(self, function: Callable[[], T], seconds: float) -> T:
        """Return what ``function`` returns. Raises :class:`TimeoutError` after ``seconds``."""
        future: Future[T] = Future()
        self._calls.put((future, function))
        try:
            return future.result(seconds)
        finally:
            del future  # an error refers to this frame: a cycle would keep its sockets open

    def end(self) -> None:
        """Let the thread end after the calls that were begun."""
        self._calls.put(None)

    def _serve(self) -> None:
        while call := self._calls.get():
            _answer(*call)


def _answer(future: Future[Any], function: Callable[[], Any]) -> None:
    try:
        future.set_result(function())
    except BaseException as error:  # noqa: BLE001 - it is raised where the caller waits
        future.set_exception(error)
        del future  # as above
