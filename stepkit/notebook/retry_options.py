"""Flags to run a notebook again after a failure that may have been bad luck, and which ones are.

A kernel that hung or died, a GPU that others hold and a network that failed may all be different a
minute later. An error of the notebook's code, a time limit or full memory are not: they would be
the same again.
"""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

from stepkit.errors import ConfigurationError, Reason, StepError, UserCodeError
from stepkit.formats.did_you_mean import nearest
from stepkit.options import AtLeast, Metavar
from stepkit.system import status_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from _typeshed import DataclassInstance

    from stepkit.errors import Evidence

logger = logging.getLogger(__name__)

ALL: Final = (Reason.KERNEL_HUNG, Reason.KERNEL_DIED, Reason.GPU_BUSY, Reason.NETWORK)

_WAITS: Final = (10.0, 30.0, 60.0)  # seconds before each further attempt; the last for all others
_WAITED_FOR: Final = (Reason.GPU_BUSY, Reason.NETWORK)  # what others have to end first

# Exceptions of Python, urllib3, requests, httpx, aiohttp, botocore and fsspec.
_NETWORK_ERRORS: Final = frozenset({
    "ConnectionError", "ConnectionResetError", "ConnectionAbortedError", "ConnectionRefusedError",
    "URLError", "gaierror", "ContentTooShortError", "RemoteDisconnected", "IncompleteRead",
    "ProtocolError", "MaxRetryError", "NewConnectionError", "NameResolutionError",
    "ConnectTimeoutError", "ReadTimeoutError", "ChunkedEncodingError", "ConnectTimeout",
    "ReadTimeout", "ConnectError", "ReadError", "RemoteProtocolError", "ClientConnectorError",
    "ClientConnectionError", "ClientPayloadError", "ServerDisconnectedError",
    "ServerTimeoutError", "EndpointConnectionError", "ConnectionClosedError", "FSTimeoutError",
})  # fmt: skip
_HTTP_ERRORS: Final = frozenset({"HTTPError", "HTTPStatusError", "ClientResponseError"})
_STATUS: Final = re.compile(r"\b[0-9]{3}\b")
_BUSY_SERVER: Final = frozenset({"429", "500", "502", "503", "504"})


@dataclass(frozen=True, kw_only=True)
class RetryOptions:
    """Flags to run a notebook again after a failure that may have been bad luck."""

    heading: ClassVar[str] = "another attempt"

    attempts: Annotated[
        int,
        "most runs of a notebook, if it fails for a reason of --retry-on",
        AtLeast(1),
    ] = 1
    retry_on: Annotated[
        str, "reasons for another attempt, with commas between them", Metavar("REASONS")
    ] = ",".join(ALL)
    fail_on_flaky: Annotated[
        bool, "fail a notebook that passes only when it runs again, with exit code 3"
    ] = False

    def reasons(self) -> tuple[Reason, ...]:
        """Return the reasons of --retry-on. Raises :class:`ConfigurationError` for another one."""
        known = [reason.value for reason in ALL]
        words = [word for part in self.retry_on.split(",") if (word := part.strip())]
        for word in words:
            if word not in known:
                near = nearest(word, known)
                hint = f": did you mean {near}?" if near else ""
                why = "would be the same again" if word in set(Reason) else "is not a reason"
                raise ConfigurationError(
                    f"--retry-on {word} {why}: give some of {', '.join(known)}{hint}"
                )
        if not words:
            raise ConfigurationError(f"--retry-on names no reason: give some of {', '.join(known)}")
        return tuple(Reason(word) for word in words)

    def luck(self, error: StepError) -> Reason | None:
        """Return the reason of --retry-on that ``error`` has, None if it has none of them."""
        if self.attempts == 1:
            return None
        reason = error.reason
        if reason == Reason.CELL_ERROR and error.evidence and is_network(error.evidence):
            reason = Reason.NETWORK
        return reason if reason in self.reasons() else None

    def flaky(self, reasons: Iterable[Reason]) -> tuple[Reason, ...]:
        """Return, each once, those of the ``reasons`` of attempts that make a run flaky."""
        return tuple(reason for reason in dict.fromkeys(reasons) if reason in self.reasons())

    def refusal(
        self, outputs: DataclassInstance, message: str, *, flaky: bool
    ) -> UserCodeError | None:
        """Return the error of a ``flaky`` run with --fail-on-flaky, None of any other."""
        if not flaky or not self.fail_on_flaky:
            return None
        text = f"flaky: {message} (--fail-on-flaky)"
        return UserCodeError(text, reason=Reason.FLAKY, outputs=outputs)

    def wait(self, luck: Reason, before: Sequence[Reason]) -> None:
        """Wait until another attempt after ``luck`` makes sense: longer after each of ``before``.

        A kernel that hung or died is started again at once.
        """
        if luck not in _WAITED_FOR:
            return
        seconds = _WAITS[min(before.count(luck), len(_WAITS)) - 1]
        logger.info("waiting %.0f s before the next attempt (%s)", seconds, luck)
        until = time.monotonic() + seconds
        with status_line.showing(
            lambda: f"{luck}: running it again in {max(until - time.monotonic(), 0):.0f} s"
        ):
            time.sleep(seconds)


def is_network(error: Evidence) -> bool:
    """Return whether a cell raised what says that a network or a server failed."""
    if error.ename in _HTTP_ERRORS:
        status = _STATUS.search(error.evalue)  # the first one: an address may follow, with others
        return status is not None and status[0] in _BUSY_SERVER
    return error.ename in _NETWORK_ERRORS
