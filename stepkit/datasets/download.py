"""A file from one of several sources: tried again while that helps, and verified as a whole."""

from __future__ import annotations

import logging
import os
import random
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stepkit.datasets import hdf5
from stepkit.datasets.partial_file import MismatchError
from stepkit.datasets.range_request import RestartError, load
from stepkit.errors import Reason, StepError, ToolError, UserCodeError
from stepkit.http import safe_urls
from stepkit.http.status_codes import BusyError
from stepkit.system import atomic_files
from stepkit.system.retry import retrying

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tenacity import RetryCallState

    from stepkit.datasets.partial_file import Pace, Part, Wanted
    from stepkit.http.get import Source

logger = logging.getLogger(__name__)

_PROGRESS: Final = 65536  # bytes: whoever sends fewer in one try may drip for ever
_LONGEST_WAIT: Final = 60.0  # seconds, between two tries
_LONGEST_ASKED: Final = 300.0  # seconds, where the server asks for a pause (Retry-After)
_WRONG_OFTEN: Final = 2  # a source that sent the wrong file so often sends it again
_OURS: Final = {Reason.DISK_FULL, Reason.TIMEOUT}  # no other source helps


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What is in the part now: ``size`` in bytes, ``source`` as it may be shown."""

    sha256: str
    size: int
    validator: str
    source: str


def fetch(
    sources: Sequence[Source],
    part: Part,
    wanted: Wanted,
    pace: Pace,
    *,
    attempts: int,
    known: str = "",
) -> Fetched | None:
    """Load the whole file into ``part``, from the first of ``sources`` that has it.

    After a failure it goes on where it stopped; ``attempts`` counts the tries in a row of all
    sources that brought nothing. A file of another size or checksum than is ``wanted`` is loaded
    once more from its beginning. None means that the server's file is still the one with the
    validator ``known``.

    Raises :class:`ToolError` when attempts or time are used up, the disk is full, or the content
    differs each time (reason ``checksum``); :class:`UserCodeError` when a source sends the same
    wrong content twice; :class:`ConfigurationError` when the server refuses.
    """
    tries = _Tries(sources, part, wanted, pace, known)
    retry = retrying(attempts).copy(
        stop=lambda _: tries.fruitless >= attempts, wait=tries.wait, retry=tries.worth_another
    )
    return retry(tries.once)


class _Tries:
    def __init__(
        self, sources: Sequence[Source], part: Part, wanted: Wanted, pace: Pace, known: str
    ) -> None:
        self.sources, self.part, self.wanted, self.pace = sources, part, wanted, pace
        self.known, self.fruitless, self.furthest = known, 0, part.size()
        self.wrong: dict[str, list[str]] = defaultdict(list)

    def once(self) -> Fetched | None:
        """Ask each source that may have the file, in order."""
        errors: list[StepError] = []
        for source in self.sources:
            if len(self.wrong[source.url]) >= _WRONG_OFTEN:
                continue
            try:
                return self._from(source)
            except StepError as error:
                if error.reason in _OURS:
                    raise
                errors.append(error)
                if len(self.sources) > 1:
                    logger.warning("%s", error)
        gained = self.part.size() - self.furthest
        self.fruitless = 0 if gained >= _PROGRESS else self.fruitless + 1
        self.furthest = max(self.furthest, self.part.size())
        raise next((error for error in errors if isinstance(error, ToolError)), errors[0])

    def _from(self, source: Source) -> Fetched | None:
        self.pace.check(safe_urls.masked(source.url))
        try:
            try:
                validator = load(source, self.part, self.wanted, self.pace, self.known)
            except RestartError as error:
                logger.info("%s: from the beginning", error)
                self.part.discard()
                validator = load(source, self.part, self.wanted, self.pace, self.known)
            return None if validator is None else self._verified(source, validator)
        except MismatchError as error:
            self.part.discard()
            raise self._judged(source, error) from error

    def _verified(self, source: Source, validator: str) -> Fetched:
        path, where = self.part.path, safe_urls.masked(source.url)
        with atomic_files.explaining(f"cannot read {path}"):
            size, sha256 = path.stat().st_size, atomic_files.sha256(path)
        if self.wanted.size is not None and size != self.wanted.size:
            raise MismatchError(
                f"{where} has {size} bytes instead of {self.wanted.size}", got=f"{size} bytes"
            )
        if self.wanted.sha256 and sha256 != self.wanted.sha256:
            raise MismatchError(
                f"{where} has the sha256 {sha256}, not {self.wanted.sha256}", got=sha256
            )
        if not self.wanted.sha256 and (problem := hdf5.problem(path, self.wanted.name)):
            raise MismatchError(f"{where}: {problem}", got=sha256)
        with atomic_files.explaining(f"cannot write {path}"), path.open("rb") as file:
            os.fsync(file.fileno())
        return Fetched(sha256=sha256, size=size, validator=validator, source=where)

    def _judged(self, source: Source, error: MismatchError) -> StepError:
        """Tell a file that is another one from one that was damaged on its way."""
        wrong = self.wrong[source.url]
        wrong.append(error.got)
        if len(wrong) < _WRONG_OFTEN:
            return error
        if len(set(wrong)) == 1:
            return UserCodeError(
                f"{error}, twice: either the file was replaced or the manifest is wrong",
                reason=Reason.CHECKSUM,
            )
        return ToolError(f"{error}, and each time another", reason=Reason.CHECKSUM)

    def worth_another(self, state: RetryCallState) -> bool:
        """Tell whether a next try may end otherwise."""
        error = state.outcome.exception() if state.outcome else None
        if not isinstance(error, ToolError) or error.reason in _OURS:
            return False
        return any(len(self.wrong[source.url]) < _WRONG_OFTEN for source in self.sources)

    def wait(self, state: RetryCallState) -> float:
        """Return how long to wait: at random, at least what the server asks, within the time."""
        longest = min(_LONGEST_WAIT, 2.0 ** max(self.fruitless, 1))
        pause = random.uniform(0, longest)  # noqa: S311 - no secret
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, BusyError) and error.retry_after is not None:
            pause = max(pause, min(error.retry_after, _LONGEST_ASKED))
        return max(0.0, min(pause, self.pace.until - time.monotonic()))
