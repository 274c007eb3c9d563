"""Write the Prometheus metrics of one run of a notebook, for node_exporter's textfile collector."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, get_args

from stepkit.errors import Cancelled, StepError
from stepkit.formats import prometheus_text
from stepkit.notebook import cpu_fallback, notebook_metrics
from stepkit.notebook.attempts import Outputs
from stepkit.notebook.verdict import CellStatus, Ending, Execution
from stepkit.system import atomic_files, checkout_paths

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from stepkit.gpu.monitor.summary import Summary


def labels(output: Path, source: Path) -> dict[str, str]:
    """Return the labels of a run: its output's name, and the notebook's path in its repository.

    The notebooks of a Pipeline have outputs of one name. A notebook that is in no repository has
    its file name: the directory may be a temporary one.
    """
    path = checkout_paths.in_repository(str(source.absolute()))
    return {"notebook": output.stem, "source": source.name if path.startswith("/") else path}


@contextmanager
def of_failure(path: Path | None, labels: Mapping[str, str]) -> Iterator[None]:
    """Write metrics, too, if the block ends before the run could write them itself."""
    nothing = Execution(cells=(), ending=Ending.FINISHED, started=time.monotonic())
    try:
        yield
    except (StepError, Cancelled) as ended:
        if path and not _has_metrics(ended):
            error = ended if isinstance(ended, StepError) else None
            signum = ended.signum if isinstance(ended, Cancelled) else None
            with suppress(StepError):  # the end of the run matters more
                write(path, labels, replace(nothing, cancelled_by=signum), error, None)
        raise


def _has_metrics(ended: StepError | Cancelled) -> bool:
    """Return whether the run wrote metrics of this end, and not only of an attempt before it."""
    if not isinstance(ended.outputs, Outputs):
        return False
    last = ended.outputs.attempts[-1] if ended.outputs.attempts else None
    return not last or (last.notebook is not None and last.exit_code in {0, ended.exit_code})


def write(
    path: Path,
    labels: Mapping[str, str],
    execution: Execution,
    error: StepError | None,
    summary: Summary | None,
    *,
    flaky: bool = False,
    before: float = 0.0,
) -> None:
    """Write the metrics of a run with its ``labels``; ``error`` is its verdict if it failed.

    A ``flaky`` one passed only when it ran again. ``before`` are the seconds of earlier attempts.
    The file is written whole or not at all.

    Raises :class:`~stepkit.errors.StepError` when the file cannot be written.
    """
    status, exit_code = "tolerated" if execution.tolerated else "succeeded", 0
    status = "flaky" if flaky else status
    if error:
        status, exit_code = "failed", error.exit_code
    if execution.cancelled_by:
        status, exit_code = "cancelled", 128 + execution.cancelled_by
    fallback = cpu_fallback.total(c.cpu_fallback for c in execution.cells if c.cpu_fallback)
    states: Counter[str] = Counter(cell.status for cell in execution.cells if cell.number)
    gauges = notebook_metrics.gauges(
        status=status,
        exit_code=exit_code,
        seconds=round(before + time.monotonic() - execution.started, 3),
        cells={**dict.fromkeys(get_args(CellStatus), 0), **states},
        finished=time.time(),
        sampled=asdict(summary) if summary else None,
        cpu_fallback=fallback.share if fallback else None,
    )
    text = prometheus_text.lines(prometheus_text.labelled(gauges, labels))
    atomic_files.write_atomically(path, text, durable=False)
