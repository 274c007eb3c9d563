"""A request to stop is noted, and raised until it is taken."""

import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import FrameType

import pytest
from waiting import SOON, until

from stepkit.errors import STOPPING, Cancelled
from stepkit.system import stop_requests

HANDLED = (*STOPPING, signal.SIGALRM)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = [signal.getsignal(signum) for signum in HANDLED]
    yield
    assert [signal.getsignal(signum) for signum in HANDLED] == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[BaseException | None]:
    """Return the exceptions that Python drops from now on."""
    dropped: list[BaseException | None] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: dropped.append(lost.exc_value))
    return dropped


def send(signum: int) -> None:
    os.kill(os.getpid(), signum)


def import_source(directory: Path, source: str) -> None:
    (directory / "imported_meanwhile.py").write_text(source)
    sys.path.insert(0, str(directory))
    try:
        import_module("imported_meanwhile")
    finally:
        sys.path.remove(str(directory))
        sys.modules.pop("imported_meanwhile", None)


def in_an_import(signum: int, directory: Path) -> None:
    """Send a signal while the import system runs the callback of a weak reference."""

    def watch(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name == "cb":
            sys.setprofile(None)
            send(signum)

    sys.setprofile(watch)
    try:
        import_source(directory, "")
    finally:
        sys.setprofile(None)


def in_a_class(signum: int, directory: Path) -> None:
    """Send a signal where Python 3.11 raises RuntimeError from the exception."""
    source = f"""
import os

class Field:
    def __set_name__(self, owner, name):
        os.kill(os.getpid(), {int(signum)})

class Owner:
    field = Field()
"""
    import_source(directory, source)


def in_a_destructor(signum: int, _: Path) -> None:
    class Ends:
        def __del__(self) -> None:
            send(signum)

    Ends()


def in_a_weak_reference(signum: int, _: Path) -> None:
    class Ends:
        pass

    ends = Ends()
    reference = weakref.ref(ends, lambda _: send(signum))
    del ends
    assert reference() is None


@pytest.mark.parametrize("signum", STOPPING)
@pytest.mark.parametrize(
    ("lose", "dropped"),
    [
        (in_an_import, []),
        (in_a_class, []),
        (in_a_destructor, [Cancelled]),
        (in_a_weak_reference, [Cancelled]),
    ],
)
def test_a_signal_whose_exception_python_would_lose_is_raised_later(
    lose: Callable[[int, Path], None],
    dropped: list[type],
    signum: int,
    unraisable: list[BaseException | None],
    tmp_path: Path,
) -> None:
    with stop_requests.handled():
        stop_requests.begin()
        with pytest.raises(Cancelled) as stopped:  # noqa: PT012 - the second line raises it
            lose(signum, tmp_path)
            time.sleep(SOON)
        stop_requests.take()

    assert stopped.value.signum == signum
    assert [type(error) for error in unraisable] == dropped


def test_an_import_that_takes_too_long_is_interrupted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stop_requests, "_IMPORT_SECONDS", 0.3)
    source = f"import os, time\nos.kill(os.getpid(), 15)\ntime.sleep({SOON})"

    with stop_requests.handled():
        stop_requests.begin()
        with pytest.raises(Cancelled, match="SIGTERM"):
            import_source(tmp_path, source)
        stop_requests.take()


def test_a_signal_that_a_library_catches_is_raised_again() -> None:
    with stop_requests.handled():
        stop_requests.begin()
        with suppress(BaseException):  # as careless code does
            send(signal.SIGTERM)
            time.sleep(SOON)
        with pytest.raises(Cancelled, match="SIGTERM"):
            time.sleep(SOON)
        stop_requests.take()


def test_no_signal_interrupts_what_saves_after_the_first() -> None:
    saved = []

    def save() -> None:
        for signum in STOPPING:
            send(signum)
        time.sleep(0.3)  # the timer comes meanwhile
        try:
            int("while another exception is handled")
        except ValueError:
            time.sleep(0.3)
        saved.append(True)

    with stop_requests.handled():
        stop_requests.begin()
        with pytest.raises(Cancelled, match="SIGHUP"):  # noqa: PT012 - what ends in finally
            try:
                send(signal.SIGHUP)
                time.sleep(SOON)
            finally:
                save()
        stop_requests.take()

    assert saved == [True]


def test_a_signal_before_the_beginning_is_raised_at_the_beginning() -> None:
    with stop_requests.handled():
        send(signal.SIGINT)
        with pytest.raises(Cancelled, match="SIGINT"):
            stop_requests.begin()
        stop_requests.take()


def test_a_signal_after_it_was_taken_is_not_raised() -> None:
    with stop_requests.handled():
        stop_requests.begin()
        stop_requests.take()
        send(signal.SIGTERM)
        time.sleep(0.3)


def test_a_lost_signal_goes_to_the_handler_that_has_come_instead(
    unraisable: list[BaseException | None],
) -> None:
    received: list[int] = []
    with stop_requests.handled():
        stop_requests.begin()
        in_a_destructor(signal.SIGTERM, Path())
        signal.signal(signal.SIGTERM, lambda signum, _: received.append(signum))
        until(lambda: received)

    assert received == [signal.SIGTERM]
    assert len(unraisable) == 1


@pytest.mark.parametrize("signum", [signal.SIGHUP, signal.SIGINT])
def test_what_a_shell_ignores_stays_ignored(signum: int) -> None:
    before = signal.signal(signum, signal.SIG_IGN)
    try:
        with stop_requests.handled():
            stop_requests.begin()
            send(signum)
    finally:
        signal.signal(signum, before)


def test_a_thread_that_cannot_handle_signals_still_works() -> None:
    done = []

    def work() -> None:
        with stop_requests.handled():
            stop_requests.begin()
            done.append(signal.getsignal(signal.SIGTERM))
            stop_requests.take()

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert done == [before]
