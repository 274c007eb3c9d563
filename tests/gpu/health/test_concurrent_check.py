"""A check of the GPU that takes long, on a driver that hangs."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import psutil
import pytest
from cuda_driver import fake_cuda
from waiting import until

from stepkit.errors import Cancelled
from stepkit.gpu.health import preflight, run_probe
from stepkit.gpu.health.concurrent_check import ConcurrentCheck


@contextmanager
def cancelling() -> Iterator[None]:
    """Let SIGUSR1 do here what SIGTERM does in a command."""

    def cancel(signum: int, _: FrameType | None) -> None:
        raise Cancelled(signum)

    before = signal.signal(signal.SIGUSR1, cancel)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def probes() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if is_probe(child)]


def is_probe(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return str(run_probe.PROBE) in process.cmdline()
    return False


def test_a_signal_during_the_check_leaves_no_process_behind(tmp_path: Path) -> None:
    env = fake_cuda(tmp_path, FAKE_CUDA_HANG="1")
    check = ConcurrentCheck("required", python=None, cwd=tmp_path, env=env)
    found: list[psutil.Process] = []

    def interrupt() -> None:
        until(probes)
        found.extend(probes())
        os.kill(os.getpid(), signal.SIGUSR1)

    def require_and_be_interrupted() -> None:
        threading.Thread(target=interrupt).start()  # the signal may come before this returns
        check.require()

    with cancelling():
        check.start()
        with pytest.raises(Cancelled):
            require_and_be_interrupted()
        check.close()

    assert len(found) == 1
    assert not found[0].is_running()


def test_an_error_of_the_check_itself_says_nothing_about_the_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise PermissionError("a fault of ours")

    monkeypatch.setattr(preflight, "diagnose", broken)
    required = ConcurrentCheck("required", python=None, cwd=tmp_path, env={})
    required.start()
    with pytest.raises(PermissionError, match="a fault of ours"):
        required.require()

    optional = ConcurrentCheck("optional", python=None, cwd=tmp_path, env={})
    optional.start()
    optional.close()
    assert "cannot tell whether there is a GPU: a fault of ours" in caplog.text
