"""Kubernetes Secrets on this machine: a directory for each, with one file for each key."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepkit import redaction
from stepkit.errors import ConfigurationError, Reason
from stepkit.formats.did_you_mean import did_you_mean
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stepkit.errors import StepError


@dataclass(frozen=True)
class SecretUse:
    """One key of a Secret that a step reads."""

    name: str
    key: str
    optional: bool

    def __str__(self) -> str:
        """Return how the plan names it."""
        return f"secret {self.name}/{self.key}"


class Secrets:
    """The directories of the Secrets, by name. What is read from them is masked."""

    def __init__(self, directories: Mapping[str, Path]) -> None:
        """Raise :class:`ConfigurationError` for a missing directory."""
        self.directories = directories
        for name, directory in self.directories.items():
            if not directory.is_dir():
                raise ConfigurationError(f"--secret {name}: there is no directory {directory}")

    def check(self, uses: set[SecretUse]) -> None:
        """Raise :class:`ConfigurationError` for a missing key, and for a Secret without a use.

        A use that still has variables in it is left out: any Secret may be meant.
        """
        unknown = {use for use in uses if "$(" in use.name + use.key}
        for use in sorted(uses - unknown, key=str):
            self._find(use)
        known = {use.name for use in uses}
        for name in self.directories:
            if not unknown and name not in known:
                raise ConfigurationError(
                    f"--secret {name}: no task asks for it{did_you_mean(name, known)}"
                )
        for name, directory in self.directories.items():
            keys = sorted({use.key for use in uses - unknown if use.name == name})
            if keys and not any((directory / key).is_file() for key in keys):
                raise ConfigurationError(
                    f"--secret {name}: {directory} has no file {' or '.join(keys)}, "
                    "which would hold the value that a task reads",
                    reason=Reason.NOT_FOUND,
                )

    def lacks(self, use: SecretUse) -> bool:
        """Return whether the key of an optional use is missing."""
        return self._find(use) is None

    def read(self, use: SecretUse) -> str | None:
        """Return the value exactly as the file holds it, None for a missing optional one."""
        path = self._find(use)
        if path is None:
            return None
        with atomic_files.explaining(f"cannot read {use}"):
            value = os.fsdecode(path.read_bytes())
        if "\0" in value:
            raise ConfigurationError(f"{use} holds a NUL byte: no environment variable can")
        redaction.register(value)
        return value

    def redact(self, text: str) -> str:
        """Mask every secret that was read so far."""
        return redaction.redact(text)

    def redacted(self, error: StepError) -> StepError:
        """Return ``error`` with every secret in its message masked."""
        return type(error)(
            self.redact(str(error)),
            reason=error.reason,
            outputs=error.outputs,
            evidence=error.evidence,  # its report masked it
            place=error.place,
        )

    def _find(self, use: SecretUse) -> Path | None:
        """Return the file of a key, None for a missing one that is optional."""
        directory = self.directories.get(use.name)
        path = directory / use.key if directory else None
        if path and path.is_file():
            return path
        if use.optional:
            return None
        where = f"there is no file {path}" if path else "it is not given"
        raise ConfigurationError(
            f"a task needs {use}: {where}: add --secret {use.name}=DIR, "
            f"where DIR/{use.key} holds the value",
            reason=Reason.NOT_FOUND,
        )
