"""Signals during work that they must not interrupt."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from stepkit.errors import STOPPING
from stepkit.system import signals


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = [signal.getsignal(signum) for signum in STOPPING]
    yield
    assert [signal.getsignal(signum) for signum in STOPPING] == before


def run_stoppable(work: Callable[[threading.Event, threading.Event], None]) -> int | None:
    stop, kill = threading.Event(), threading.Event()
    ended = signals.run_stoppable(
        lambda: work(stop, kill), stop=stop, kill=kill, message="stopping"
    )
    assert stop.is_set()
    assert kill.is_set()
    return ended


def send(signum: int) -> None:
    os.kill(os.getpid(), signum)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_asks_to_stop_and_a_second_ctrl_c_kills(
    first: int, caplog: pytest.LogCaptureFixture
) -> None:
    def work(stop: threading.Event, kill: threading.Event) -> None:
        send(first)
        assert stop.wait(20)
        send(signal.SIGTERM)
        assert not kill.wait(0.3)
        send(signal.SIGINT)
        assert kill.wait(20)

    assert run_stoppable(work) == first
    assert [record.getMessage() for record in caplog.records] == ["stopping"]


def test_a_signal_that_reaches_another_thread_is_noted() -> None:
    """It does not wake the main thread, like a signal just before that begins to wait."""

    def work(stop: threading.Event, _: threading.Event) -> None:
        time.sleep(0.1)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        assert stop.wait(20)

    assert run_stoppable(work) == signal.SIGTERM


def test_a_second_ctrl_c_may_come_while_one_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Impatient(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            send(signal.SIGINT)

    def work(_: threading.Event, kill: threading.Event) -> None:
        send(signal.SIGINT)
        assert kill.wait(20)

    impatient = Impatient()
    logging.getLogger("stepkit.system.signals").addHandler(impatient)
    try:
        assert run_stoppable(work) == signal.SIGINT
    finally:
        logging.getLogger("stepkit.system.signals").removeHandler(impatient)
    assert caplog.messages == ["stopping"]


def test_a_sighup_that_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run_stoppable(lambda *_: send(signal.SIGHUP)) is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_work_without_a_signal_returns_none_and_its_exception_is_raised() -> None:
    assert run_stoppable(lambda *_: None) is None

    def broken(*_: threading.Event) -> None:
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        run_stoppable(broken)


def test_a_thread_that_cannot_handle_signals_still_works() -> None:
    ended: list[int | None] = []
    thread = threading.Thread(target=lambda: ended.append(run_stoppable(lambda *_: None)))

    thread.start()
    thread.join()

    assert ended == [None]
