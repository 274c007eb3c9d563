"""Run a notebook, and keep what its tests say of that."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from stepkit.api.run import run_command
from stepkit.errors import StepError
from stepkit.system import atomic_files, os_errors, stepkit_process

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepkit.golden.differences import Difference
    from stepkit.notebook.verdict import CellRun


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run ended: ``error`` is why it failed, ``outputs`` what execute-notebook put out."""

    status: str
    message: str
    error: StepError | None = None
    outputs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def cells(self) -> dict[int, CellRun]:
        """The cells by their numbers, but those that were injected."""
        return {cell.number: cell for cell in self.outputs.get("cells", ()) if cell.number}

    @property
    def failed(self) -> set[int]:
        """The numbers of the cells that failed, were stopped, or have other outputs."""
        bad = {n for n, cell in self.cells.items() if cell.status in {"error", "stopped"}}
        return bad.union(each.cell for each in self.differences())

    def differences(self, number: int | None = None) -> list[Difference]:
        """Return the outputs that are not the golden ones, of all cells or of one."""
        found = self.outputs.get("golden")
        return [d for d in (found.differences if found else ()) if number in {None, d.cell}]

    def tolerated(self, number: int | None = None) -> list[str]:
        """Return the tolerated errors and why, of all cells or of one."""
        return [
            f"{cell.name}: {cell.error.ename}: {cell.error.evalue} ({cell.tolerance})"
            for cell in self.outputs.get("cells", ())
            if cell.status == "tolerated" and cell.error and number in {None, cell.number}
        ]

    def skipped(self, number: int) -> str:
        """Return why rules left out a cell that did not run, or ``""``."""
        changes = self.outputs.get("changes", ())
        return "; ".join(c.what for c in changes if c.applied and c.cell == number)

    def properties(self, cell: CellRun | None = None) -> dict[str, str]:
        """Return what a JUnit file says of the run, or of a cell; peaks are bytes."""
        cells = [cell] if cell else self.outputs.get("cells", ())
        found = {
            "stepkit-status": cell.status if cell else self.status,
            "kernel": self.outputs.get("kernel"),
            "variant": self.outputs.get("variant"),
            "allocator": self.outputs.get("allocator"),
            "gpu-peak": max((each.gpu_peak or 0 for each in cells), default=0),
            "rss-peak": max((each.rss_peak or 0 for each in cells), default=0),
        }
        return {name: str(value) for name, value in found.items() if value}


def run(
    notebook: Path,
    arguments: Sequence[str],
    *,
    rules: Sequence[Mapping[str, Any]],
    keep_in: tuple[Path, Path] | None,
) -> Ended:
    """Execute ``notebook`` with ``arguments`` for execute-notebook, changed by ``rules``.

    ``keep_in`` is the directory that keeps what it writes, and the file for its report. Without it
    nothing is kept.
    """
    try:
        with os_errors.explaining_the_rest(), _without_errors(), ExitStack() as stack:
            if keep_in:
                directory, report = keep_in
                more = [f"--page={directory / notebook.stem}.html"]
            else:
                temporary = TemporaryDirectory(prefix="stepkit-", ignore_cleanup_errors=True)
                directory, report, more = Path(stack.enter_context(temporary)), None, []
            if rules:
                file = directory / "nbmake-rules.yaml"
                atomic_files.write_atomically(file, json.dumps({"rules": rules}, indent=1))
                more.append(f"--rules={file}")
            files = [f"--notebook={notebook}", f"--output={directory / notebook.name}", *more]
            result = run_command(
                "execute-notebook", [*arguments, *files], env={}, report=report, defaults=True
            )
    except StepError as error:
        known = error.result
        return Ended(
            status=known.status if known else "failed",
            message=str(error),
            error=error,
            outputs=known.outputs if known else {},
        )
    return Ended(status=result.status, message=result.message, outputs=result.outputs)


@contextmanager
def _without_errors() -> Iterator[None]:
    """Leave errors out of the log that pytest captures: the failure of the test shows them."""
    logger = stepkit_process.logger

    def keep(record: logging.LogRecord) -> bool:
        return record.levelno < logging.ERROR

    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)
