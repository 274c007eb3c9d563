"""The types of a batch: a planned notebook, where its files go, and how it ended."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from stepkit.errors import Evidence, Place, Reason

Status = Literal[
    "passed", "tolerated", "flaky", "failed", "cancelled", "skipped", "not-run", "reused"
]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a notebook is executed; for what is None or empty, ``execute-notebook`` decides.

    ``parameters`` have the types of YAML; ``given`` are ``NAME=VALUE`` from the command line and
    win over them. Time limits are in seconds; 0 means no limit.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    given: tuple[str, ...] = ()
    rules: Path | None = None
    variant: str | None = None
    kernel: str | None = None
    cwd: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    execution_timeout: float | None = None
    run_timeout: float | None = None
    tolerate: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One notebook of the run.

    ``inputs`` and ``outputs`` are relative to its working directory. ``exempt`` is the reason why
    it is skipped, empty if it runs; ``until`` is the last day of that, in ISO 8601. ``suffix`` is
    that of its variant.
    """

    name: str
    path: Path
    needs: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    exempt: str = ""
    until: str = ""
    suffix: str = ""
    settings: Settings = field(default_factory=Settings)

    @property
    def cwd(self) -> Path:
        """The working directory of its kernel."""
        return self.settings.cwd or self.path.parent

    def place(self, file: str) -> Path:
        """Return the path of one of its inputs or outputs."""
        return self.cwd.absolute() / file

    def has(self, file: str) -> bool:
        """Return whether one of its inputs or outputs exists, as a file or a directory."""
        return os.path.exists(self.place(file))  # noqa: PTH110 - Path.exists raises for a long name


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the notebooks of a run write; the names of all files end in ``suffix``."""

    directory: Path
    reports: Path
    suffix: str = ""

    def executed(self, one: Planned) -> Path:
        """Return the path of the executed notebook."""
        return self._in_directory(one, ".ipynb")

    def page(self, one: Planned) -> Path:
        """Return the path of the page."""
        return self._in_directory(one, ".html")

    def log(self, one: Planned) -> Path:
        """Return the path of the log."""
        return self._in_directory(one, ".log")

    def patched(self, one: Planned) -> tuple[Path, Path]:
        """Return the paths of the notebook and the diff that show what rules changed."""
        return (
            self._in_directory(one, ".patched.ipynb"),
            self._in_directory(one, ".patched.diff"),
        )

    def report(self, one: Planned) -> Path:
        """Return the path of the notebook's own report."""
        return self.reports / f"{self._stem(one)}.json"

    def _in_directory(self, one: Planned, ending: str) -> Path:
        return self.directory / f"{self._stem(one)}{ending}"

    def _stem(self, one: Planned) -> str:
        """Return the name with the suffixes of run and variant, only once if they are equal."""
        stem = f"{one.name}{self.suffix}"
        return stem if stem.endswith(one.suffix) else f"{stem}{one.suffix}"


@dataclass(frozen=True, kw_only=True)
class NotebookRun:
    """How one notebook ended.

    ``reason`` is the reason in its report, and ``message`` explains it in a sentence. For a
    notebook that did not run, ``reason`` is empty and ``exit_code`` is None. ``tolerated`` counts
    its tolerated errors. ``report`` is the path of the report that it left, if any, and ``error``
    the evidence in it, as ``place`` is where it failed. ``reused_from`` is the run in which a
    reused notebook ran, and ``was_flaky`` says that it passed there only when it ran again.
    """

    name: str
    path: Path
    status: Status
    reason: Reason | Literal[""] = ""
    message: str = ""
    seconds: float = 0.0
    exit_code: int | None = None
    until: str = ""
    cells_run: int | None = None
    cells_total: int | None = None
    tolerated: int = 0
    report: Path | None = None
    error: Evidence | None = None
    place: Place | None = None
    reused_from: str = ""
    was_flaky: bool = False
