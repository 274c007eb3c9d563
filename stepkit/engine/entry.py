"""The engine as papermill knows it: ``papermill --engine stepkit``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from papermill.engines import Engine


class StepkitEngine(Engine):  # type: ignore[misc] # papermill is untyped
    """Executes a notebook that papermill prepared, and leaves the rest to papermill.

    Further arguments of ``papermill.execute_notebook`` are those of
    :class:`~stepkit.engine.request.Request`: ``run_timeout``, ``hang_timeout``, ``heartbeat``,
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

        Raises what nbclient raises: DeadKernelError, CellTimeoutError, and KeyboardInterrupt.
        """
        from stepkit.engine import execute
        from stepkit.engine.request import Request

        options.pop("input_path", None)
        local = output_path is not None and "://" not in output_path
        with execute.started(kernel_name, Path.cwd()) as started:
            request = Request(
                notebook=nb,
                output=Path(output_path).absolute() if output_path and local else None,
                progress_bar=progress_bar,
                log_output=log_output,
                checkpoint_interval=autosave_cell_every,
                **options,
            )
            outcome = execute.execute(request, started)
        _raise_for(outcome)
        return nb


def _raise_for(outcome: Any) -> None:
    """Raise for what papermill cannot see in the notebook."""
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    from stepkit import verdict
    from stepkit.errors import Cancelled, Reason, StepError

    if outcome.execution.cancelled_by:
        raise Cancelled(outcome.execution.cancelled_by)
    try:
        verdict.judge(outcome.execution)
    except StepError as error:
        if error.reason == Reason.TIMEOUT:
            raise CellTimeoutError(str(error)) from error
        if error.reason not in {Reason.CELL_ERROR, Reason.EARLY_EXIT}:
            raise DeadKernelError(str(error)) from error
