"""Execute a notebook in a kernel that was started before."""

from __future__ import annotations

import logging
import signal
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from stepkit.engine.run_request import Outcome, Request
from stepkit.errors import Cancelled, ConfigurationError
from stepkit.notebook import ipynb
from stepkit.notebook.verdict import Execution
from stepkit.system import cgroup, nvml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from stepkit.engine.kernel_process import Kernel
    from stepkit.engine.run import Session
    from stepkit.system.process_tree import Descendants

logger = logging.getLogger(__name__)

_GPU_SECONDS: Final = 2.0  # until a driver has taken back what a dead process held
_GPU_SLACK: Final = 64 * 2**20  # bytes; contexts of other processes come and go


class Started:
    """A kernel that boots, and all processes that it will start."""

    def __init__(self, kernel: Kernel, family: Descendants) -> None:
        self.kernel = kernel
        self.family = family
        self.gpu_before = nvml.memory()


@contextmanager
def started(name: str, cwd: Path, env: Mapping[str, str] | None = None) -> Iterator[Started]:
    """Start a kernel that boots while its notebook is prepared, and end all it started.

    ``env`` is added to the environment that it inherits.
    Raises :class:`ConfigurationError` when the kernel's program cannot be started.
    """
    from stepkit.engine import kernel_process
    from stepkit.system.process_tree import Descendants

    family = Descendants()
    try:
        with kernel_process.started(name, cwd, env) as running:
            yield Started(running, family)
    finally:
        family.close()


def prepared(
    nb: Any,
    parameters: Mapping[str, Any],
    *,
    source: Path,
    output: Path,
    kernel: str,
    language: str,
    report_mode: bool,
) -> Any:
    """Return ``nb`` as papermill would execute it: parameters injected, metadata as it writes it.

    Raises :class:`ConfigurationError` when a parameter cannot be written as code.
    """
    from papermill.execute import prepare_notebook_metadata, remove_error_markers
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs = []  # they would only be copied, and dropped at the start
    with ipynb.quiet():
        ready = load_notebook_node(nb)
    if parameters:
        try:
            ready = parameterize_notebook(
                ready, dict(parameters), report_mode, kernel_name=kernel, language=language
            )
        except RecursionError as error:
            raise ConfigurationError("a parameter holds itself, or nests too deep") from error
    ready = prepare_notebook_metadata(ready, str(source), str(output), report_mode)
    return remove_error_markers(ready)


def execute(request: Request, started: Started) -> Outcome:
    """Execute the notebook and return what the kernel answered; the output file is written.

    Cell errors, dead kernels, time limits and signals are told in the result, not raised. Raises
    :class:`~stepkit.errors.ToolError` when the kernel does not start or the disk is full, and
    :class:`Cancelled` when a signal came before the first cell.
    """
    import asyncio

    from stepkit.engine.run import Session

    # nbclient's own tasks end with the run, not with a result that somebody waits for.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    kernel, kills = started.kernel, cgroup.oom_kills() or 0
    session = Session(request, kernel)
    try:
        kernel.runner.run(session.run())
    except asyncio.CancelledError:
        raise Cancelled(session.watch.cancelled_by or signal.SIGINT) from None
    finally:
        kernel.tell()
    execution = _execution(session, kernel, kills)
    try:
        started.family.end()
        _check_gpu(started.gpu_before)
    except KeyboardInterrupt as stop:  # all is saved: what is known of the run is not lost
        signum = stop.signum if isinstance(stop, Cancelled) else signal.SIGINT
        execution = replace(execution, cancelled_by=signum)
    return Outcome(
        execution=execution,
        notebook=session.nb,
        strays=tuple(started.family.strays),
    )


def _execution(session: Session, kernel: Kernel, kills: int) -> Execution:
    watch = session.watch
    return Execution(
        cells=tuple(watch.plan.values()),
        ending=watch.ending,
        cancelled_by=watch.cancelled_by,
        exit_code=kernel.exit_code,
        limit=watch.limit,
        oom_kills=(cgroup.oom_kills() or 0) - kills,
        memory_limit=cgroup.memory_limit(),
        messages_lost=session.client.losses.count,
        started=watch.started,
    )


def _check_gpu(before: tuple[int, int] | None) -> None:
    """Say what the run left in the GPUs' memory: the next one finds it missing."""
    if before is None:
        return
    until = time.monotonic() + _GPU_SECONDS
    left = _gpu_left(before)
    while left > _GPU_SLACK and time.monotonic() < until:
        time.sleep(_GPU_SECONDS / 10)
        left = _gpu_left(before)
    if left > _GPU_SLACK:
        logger.warning("GPU memory: %.1f GiB more in use than before the run", left / 2**30)


def _gpu_left(before: tuple[int, int]) -> int:
    after = nvml.memory()
    return after[0] - before[0] if after else 0
