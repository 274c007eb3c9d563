"""Download a file from one of several sources: retry while that helps, then verify the whole."""

from __future__ import annotations

import logging
import os
import random
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from stepkit.datasets import cache as dataset_cache
from stepkit.datasets import hdf5, range_request
from stepkit.datasets.cache import Sidecar
from stepkit.datasets.partial_file import MismatchError
from stepkit.errors import Reason, StepError, ToolError, UserCodeError
from stepkit.http import safe_urls
from stepkit.system import atomic_files
from stepkit.system.retry import asked_for, retrying

if TYPE_CHECKING:
    from tenacity import RetryCallState

    from stepkit.datasets.checksums import Checksums
    from stepkit.datasets.partial_file import PartialFile, Request
    from stepkit.http.get import FileSource

logger = logging.getLogger(__name__)

_PROGRESS: Final = 65536  # bytes: an attempt that brought fewer counts as one that brought none
_LONGEST_WAIT: Final = 60.0  # seconds, between two attempts
_MOST_MISMATCHES: Final = 2  # of one source: after that it is not asked again
_LOCAL: Final = {Reason.DISK_FULL, Reason.TIMEOUT}  # another source does not help


def download(request: Request, partial: PartialFile, *, known: str = "") -> Sidecar | None:
    """Download the whole file into ``partial``, from the first source that has it.

    After a failure the download continues where it stopped. ``request.attempts`` limits the
    attempts in a row, at all sources, that brought nothing. A file of another size or checksum
    than was requested is downloaded once more from its beginning. None means that the file on the
    server is still the one with the validator ``known``.

    Raises :class:`ToolError` when attempts or time are used up, the disk is full, or the content
    differs each time (reason ``checksum``); :class:`UserCodeError` when a source sends the same
    wrong content twice; :class:`ConfigurationError` when the server refuses.
    """
    state = _Attempts(request, partial, known)
    retry = retrying(request.attempts).copy(
        stop=lambda _: state.fruitless >= request.attempts,
        wait=state.wait,
        retry=state.worth_another,
    )
    return retry(state.attempt)


class _Attempts:
    """The attempts at one file: which sources sent a wrong one, and how many brought nothing."""

    def __init__(self, request: Request, partial: PartialFile, known: str) -> None:
        self.request, self.partial, self.known = request, partial, known
        self.fruitless, self.furthest = 0, partial.size()
        self.mismatches: dict[str, list[str]] = defaultdict(list)

    def attempt(self) -> Sidecar | None:
        """Ask each source that may have the file, in order."""
        errors: list[StepError] = []
        for source in self.request.sources:
            if len(self.mismatches[source.url]) >= _MOST_MISMATCHES:
                continue
            try:
                return self._download(source)
            except StepError as error:
                if error.reason in _LOCAL:
                    raise
                if error.reason is Reason.NETWORK:  # the time limit may have cut the connection
                    self.request.pace.check(safe_urls.masked(source.url))
                errors.append(error)
                if len(self.request.sources) > 1:
                    logger.warning("%s", error)
        gained = self.partial.size() - self.furthest
        self.fruitless = 0 if gained >= _PROGRESS else self.fruitless + 1
        self.furthest = max(self.furthest, self.partial.size())
        raise next((error for error in errors if isinstance(error, ToolError)), errors[0])

    def _download(self, source: FileSource) -> Sidecar | None:
        self.request.pace.check(safe_urls.masked(source.url))
        try:
            try:
                done = range_request.complete(source, self.partial, self.request, self.known)
            except range_request.RestartError as error:
                logger.info("%s: from the beginning", error)
                self.partial.discard()
                done = range_request.complete(source, self.partial, self.request, self.known)
            return self._verify(source, *done) if done else None
        except MismatchError as error:
            self.partial.discard()
            mismatches = self.mismatches[source.url]
            mismatches.append(error.got)
            if len(mismatches) < _MOST_MISMATCHES:
                raise
            if len(set(mismatches)) == 1:
                raise UserCodeError(
                    f"{error}, twice: either the file was replaced or "
                    f"{self.request.promised_by} is wrong",
                    reason=Reason.CHECKSUM,
                ) from error
            message = f"{error}, and another one each time"
            raise ToolError(message, reason=Reason.CHECKSUM) from error

    def _verify(self, source: FileSource, validator: str, found: Checksums) -> Sidecar:
        path, where = self.partial.path, safe_urls.masked(source.url)
        with atomic_files.explaining(f"cannot read {path}"):
            size = path.stat().st_size
        if self.request.size and not self.request.size.fits(size):
            raise MismatchError(
                f"{where} has {self.request.size.instead(size)}", got=f"{size} bytes"
            )
        if difference := found.difference(self.request):
            raise MismatchError(f"{where} has {difference}", got=found.sha256)
        if not self.request.content_is_known and (problem := hdf5.problem(path, self.request.name)):
            raise MismatchError(f"{where}: {problem}", got=found.sha256)
        with atomic_files.explaining(f"cannot write {path}"), path.open("rb") as file:
            os.fsync(file.fileno())
        now = dataset_cache.now()
        return Sidecar(
            sha256=found.sha256, size=size, url=where, created=now, used=now, validator=validator
        )

    def worth_another(self, state: RetryCallState) -> bool:
        """Whether another attempt may end differently."""
        error = state.outcome.exception() if state.outcome else None
        if not isinstance(error, ToolError) or error.reason in _LOCAL:
            return False
        return any(len(self.mismatches[s.url]) < _MOST_MISMATCHES for s in self.request.sources)

    def wait(self, state: RetryCallState) -> float:
        """Return a random pause in seconds, no shorter than the server asks for.

        It ends before the time limit.
        """
        longest = min(_LONGEST_WAIT, 2.0 ** max(self.fruitless, 1))
        pause = random.uniform(0, longest)  # noqa: S311 - not a secret
        pause = max(pause, asked_for(state))
        return max(0.0, min(pause, self.request.pace.until - time.monotonic()))
