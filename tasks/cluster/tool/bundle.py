"""The archive of a bug report: files without secrets, and a list of what is missing."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from stepkit import __version__
from tasks.cluster.tool.kubectl import RefusedError
from tasks.cluster.tool.scrub import Scrubber

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Bundle:
    """Files by their names, and what is missing."""

    def __init__(self, secret_names: frozenset[str]) -> None:
        self.files: dict[str, str] = {}
        self.missing: dict[str, str] = {}
        self.scrubber = Scrubber(secret_names)

    def text(self, name: str, ask: Callable[[], str]) -> None:
        """Add what ``ask`` returns, or note that it was refused."""
        try:
            self.files[name] = self.scrubber.text(ask())
        except RefusedError as refusal:
            self.missing[name] = str(refusal)

    def objects(self, name: str, ask: Callable[[], Any]) -> Any:
        """Add what ``ask`` returns as JSON, and return it as it was; None if it was refused."""
        try:
            found = ask()
        except RefusedError as refusal:
            self.missing[name] = str(refusal)
            return None
        self.files[name] = json.dumps(self.scrubber.object(found), indent=2, ensure_ascii=False)
        return found

    def write(self, path: Path) -> None:
        """Write the archive, whole or not at all, readable for its owner alone.

        Raises :class:`OSError`.
        """
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with (
                os.fdopen(descriptor, "wb") as file,
                tarfile.open(fileobj=file, mode="w:gz") as archive,
            ):
                for name, text in {"CONTENTS.txt": self._contents(), **self.files}.items():
                    data = self.scrubber.last(text).encode("utf-8", "replace")
                    member = tarfile.TarInfo(f"stepkit-cluster-logs/{name}")
                    member.size, member.mtime = len(data), int(time.time())
                    archive.addfile(member, io.BytesIO(data))
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    def _contents(self) -> str:
        lines = [
            f"stepkit {__version__}, {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
            "Values that look like secrets are masked with ***; no Secret was fetched.",
            "",
            *sorted(self.files),
            *(f"{name}: not there: {why}" for name, why in sorted(self.missing.items())),
        ]
        return "\n".join(lines) + "\n"
