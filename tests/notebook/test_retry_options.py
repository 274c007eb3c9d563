"""Which failures may have been bad luck, and how long to wait after them."""

import logging

import pytest

from stepkit.errors import ConfigurationError, Evidence, Reason, StepError, ToolError, UserCodeError
from stepkit.notebook.retry_options import RetryOptions
from stepkit.system import status_line

KNOWN = "kernel-hung, kernel-died, gpu-busy, network"


def test_all_reasons_of_bad_luck_are_the_default() -> None:
    assert ", ".join(RetryOptions().reasons()) == KNOWN


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("cell-error", f"--retry-on cell-error would be the same again: give some of {KNOWN}"),
        ("network,timeout", f"--retry-on timeout would be the same again: give some of {KNOWN}"),
        (
            "gpu-bussy",
            f"--retry-on gpu-bussy is not a reason: give some of {KNOWN}: did you mean gpu-busy?",
        ),
        (" , ", f"--retry-on names no reason: give some of {KNOWN}"),
    ],
)
def test_other_reasons_are_refused_with_the_list(asked: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        RetryOptions(retry_on=asked).reasons()
    assert str(refused.value) == said


def of_cell(ename: str, evalue: str = "") -> StepError:
    return UserCodeError("cell 2 raised it", evidence=Evidence(ename=ename, evalue=evalue))


@pytest.mark.parametrize(
    ("error", "luck"),
    [
        (ToolError("hung", reason=Reason.KERNEL_HUNG), Reason.KERNEL_HUNG),
        (of_cell("ConnectionResetError"), Reason.NETWORK),
        (of_cell("URLError", "<urlopen error timed out>"), Reason.NETWORK),
        (of_cell("HTTPError", "HTTP Error 503: Service Unavailable"), Reason.NETWORK),
        (of_cell("HTTPError", "404 Client Error: Not Found for url: https://a/503"), None),
        (of_cell("HTTPError", "503 Server Error: Busy for url: https://a/404"), Reason.NETWORK),
        (of_cell("KeyError", "ConnectionError 503"), None),
        (ToolError("the OOM killer ended it", reason=Reason.OUT_OF_MEMORY), None),
        (UserCodeError("no evidence"), None),
    ],
)
def test_luck_is_the_reason_or_an_exception_of_the_network(
    error: StepError, luck: Reason | None
) -> None:
    assert RetryOptions(attempts=2).luck(error) == luck
    assert RetryOptions(attempts=1).luck(error) is None


def test_waits_grow_up_to_a_minute_and_the_status_line_says_what_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waits: list[float] = []
    shown: list[str] = []
    monkeypatch.setattr("time.sleep", waits.append)
    original = status_line.showing

    def showing(text: object) -> object:
        assert callable(text)
        shown.append(text())
        return original(text)

    monkeypatch.setattr(status_line, "showing", showing)
    before: list[Reason] = []
    with caplog.at_level(logging.INFO, "stepkit"):
        for _ in range(5):
            before.append(Reason.GPU_BUSY)
            RetryOptions(attempts=9).wait(Reason.GPU_BUSY, before)
        RetryOptions(attempts=9).wait(Reason.KERNEL_DIED, [Reason.KERNEL_DIED])

    assert waits == [10.0, 30.0, 60.0, 60.0, 60.0]
    assert shown[0] == "gpu-busy: running it again in 10 s"
    assert caplog.messages[1] == "waiting 30 s before the next attempt (gpu-busy)"
