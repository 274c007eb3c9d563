"""The engine as a plug-in of papermill: ``papermill --engine stepkit``."""

from __future__ import annotations

import logging
import signal
from dataclasses import fields
from pathlib import Path
from typing import Any

from papermill.engines import Engine

logger = logging.getLogger(__name__)


class StepkitEngine(Engine):  # type: ignore[misc] # papermill is untyped
    """Executes a notebook that papermill prepared, and leaves the rest to papermill.

    Further arguments of ``papermill.execute_notebook`` are those of
    :class:`~stepkit.engine.run_cells.Request`: ``run_timeout``, ``hang_timeout``, ``heartbeat``,
    ``cell_output_limit``.
    """

    @classmethod
    def execute_notebook(  # noqa: PLR0917
        cls,
        nb: Any,
        kernel_name: str,
        output_path: str | None = None,
        progress_bar: bool = True,  # noqa: FBT001, FBT002 - papermill's signature
        log_output: bool = False,  # noqa: FBT001, FBT002
        autosave_cell_every: int = 30,
        **options: Any,
    ) -> Any:
        """Run the cells; papermill itself raises for those that failed.

        Raises what nbclient raises, DeadKernelError and CellTimeoutError, and
        :class:`ConfigurationError` for an unknown option. A signal is raised once more when all is
        saved.
        """
        from papermill.execute import remove_error_markers
        from papermill.iorw import write_ipynb

        from stepkit.engine import run_cells
        from stepkit.errors import ConfigurationError

        options.pop("input_path", None)
        known = {field.name for field in fields(run_cells.Request)}
        known -= {"notebook", "output", "kernel_counts", "progress"}
        for name in options.keys() - known:
            raise ConfigurationError(
                f"the engine stepkit has no option {name!r}; it has {', '.join(sorted(known))}"
            )
        local = _local_path(output_path)
        with run_cells.start_kernel(kernel_name, Path.cwd()) as running:
            request = run_cells.Request(
                notebook=nb,
                output=local,
                progress_bar=progress_bar,
                log_output=log_output,
                checkpoint_interval=autosave_cell_every,
                kernel_counts=True,  # the same numbers as without this engine
                **options,
            )
            outcome = run_cells.execute(request, running)
        if output_path and not local:
            write_ipynb(nb, output_path)  # papermill does not after a dead kernel or a signal
        _raise_for(outcome)
        return remove_error_markers(nb)  # papermill sets its own


def _local_path(output_path: str | None) -> Path | None:
    """Return the path of a file; papermill's are relative to the directory it was started in."""
    from papermill.iorw import LocalHandler, papermill_io

    handler = papermill_io.get_handler(output_path)
    if not output_path or not isinstance(handler, LocalHandler):
        return None
    directory = handler.cwd(None)  # papermill has no other way to read what it set
    handler.cwd(directory)
    return Path(directory or "", output_path).absolute()


def _raise_for(outcome: Any) -> None:
    """Raise for what papermill cannot see in the notebook."""
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    from stepkit.errors import Cancelled, Reason, StepError
    from stepkit.notebook import verdict as notebook_verdict

    if signum := outcome.execution.cancelled_by:
        signal.raise_signal(signum)
        raise Cancelled(signum)  # the handler of the signal has returned
    try:
        notebook_verdict.judge(outcome.execution)
    except StepError as error:
        if error.reason in {Reason.CELL_ERROR, Reason.EARLY_EXIT}:
            return  # papermill shows the error that it finds
        for line in notebook_verdict.describe_failure(outcome.execution):
            logger.info("%s", line)
        if error.reason == Reason.TIMEOUT:
            raise CellTimeoutError(str(error)) from error
        raise DeadKernelError(str(error)) from error
