"""Send artifacts to a destination: only those that are not there, each read back and compared."""

from __future__ import annotations

import logging
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from stepkit.artifacts.directory import Destination
from stepkit.artifacts.manifest import MANIFEST, enumerate_some
from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.system import atomic_files
from stepkit.system.retry import retrying

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepkit.artifacts.manifest import Artifact

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Publisher:
    """Sends the artifacts of ``directory`` to ``destination``, below ``prefix``.

    ``directory`` is a path without links. ``attempts`` counts the attempts at each file; with
    ``verify_content`` each copy is read back, otherwise only its size is compared.
    """

    destination: Destination
    directory: Path
    prefix: str
    attempts: int
    verify_content: bool

    def check_no_manifest(self) -> None:
        """Raise :class:`ConfigurationError` if the destination has a manifest already.

        A run without a manifest would leave that one there, with files that it does not list.
        """
        key = str(PurePosixPath(self.prefix, MANIFEST))
        if retrying(self.attempts)(self.destination.find, key):
            raise ConfigurationError(
                f"{self.destination.location(key)} lists what was published there before, and "
                f"there is no {MANIFEST} to replace it: nothing was sent: choose another --prefix"
            )

    def unsent(self, artifacts: Sequence[Artifact], *, overwrite: bool) -> list[Artifact]:
        """Return the artifacts that are not at the destination, in order.

        Raises :class:`ConfigurationError` when another file is there, unless ``overwrite`` is set.
        """
        missing, different = [], []
        for artifact in artifacts:
            key = self._key(artifact)
            stored = retrying(self.attempts)(self.destination.find, key)
            if stored is None:
                missing.append(artifact)
                continue
            same = stored.size == artifact.size
            if same:
                sha256 = stored.sha256 or retrying(self.attempts)(self.destination.sha256, key)
                same = sha256 == artifact.sha256
            if not same:
                different.append(artifact)
        if different and not overwrite:
            names = enumerate_some([artifact.path for artifact in different])
            raise ConfigurationError(
                f"{len(different)} of {len(artifacts)} files are in "
                f"{self.destination.location(self.prefix)} already, with other content: {names}; "
                "nothing was sent: choose another --prefix, or replace them with --overwrite true"
            )
        unsent = {*missing, *different}
        return [artifact for artifact in artifacts if artifact in unsent]

    def send(self, artifact: Artifact) -> None:
        """Send one artifact and verify the copy. Raises :class:`stepkit.errors.StepError`."""
        key = self._key(artifact)
        location = self.destination.location(key)

        def attempt() -> None:
            with self._opened(artifact) as source:
                self.destination.send(source, key, artifact)
            stored = self.destination.find(key)
            if stored is None or stored.size != artifact.size:
                state = f"has {stored.size} bytes" if stored else "is not there"
                raise ToolError(
                    f"{location} {state} after {artifact.size} bytes were sent",
                    reason=Reason.CHECKSUM,
                )
            if self.verify_content and self.destination.sha256(key) != artifact.sha256:
                raise ToolError(
                    f"{location} reads back with another sha256 than {artifact.path}",
                    reason=Reason.CHECKSUM,
                )

        retrying(self.attempts)(attempt)
        logger.info("sent %s (%d bytes)", location, artifact.size)

    @contextmanager
    def _opened(self, artifact: Artifact) -> Iterator[Path]:
        """Yield a path that stays this file, whatever takes its place on the volume meanwhile."""
        path = self.directory / artifact.path
        with atomic_files.explaining(f"cannot read {path}"):
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            source = Path(f"/proc/self/fd/{handle}")
            inside = source.readlink().is_relative_to(self.directory)
            if not inside or not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ToolError(f"{path} was exchanged for a link", reason=Reason.CHECKSUM)
            yield source
        finally:
            os.close(handle)

    def _key(self, artifact: Artifact) -> str:
        return str(PurePosixPath(self.prefix, artifact.path))
