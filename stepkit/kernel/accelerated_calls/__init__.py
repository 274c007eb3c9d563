"""Count the calls of cudf.pandas and cuml.accel in each cell, and those that ran on the CPU.

Both run what the GPU cannot do on the CPU, and say nothing of it. Their own profilers know. That of
cuml.accel costs next to nothing. That of cudf.pandas traces each line of Python, so that a call
takes up to forty times as long: the function through which all calls go is wrapped instead.

Run by path, by the kernel's own Python (3.9 or later), which may have no stepkit: standard library
only. Nothing is imported or wrapped before the notebook imports one of the two, and an error here
is written down and never reaches the notebook. stepkit.engine.read_accelerated_calls reads the
file outside of the kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .call_counts import CallCounts

    OnError = Callable[[str, BaseException], None]
    CallOnImport = Callable[[dict[str, Callable[[Any], None]], OnError], None]


class AcceleratedCalls:
    """Counts for ``path``, from the moment when a notebook imports cudf.pandas or cuml.accel."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._counts: CallCounts | None = None
        self._add_calls_of_cuml: Callable[[], None] | None = None

    def begin(self, call_on_import: CallOnImport) -> None:
        """Wait for the imports: ``call_on_import`` is ``install`` of the guard's import hook."""
        hooks: dict[str, Callable[[Any], None]] = {
            "cudf.pandas.fast_slow_proxy": self._cudf_pandas_imported,
            "cuml.accel.profilers": self._cuml_accel_imported,
        }
        call_on_import(hooks, self._failed)

    def cell_ended(self, index: int) -> None:
        """Write what the cell did that has ``index`` in the notebook, if it called anything."""
        if not self._counts:
            return
        try:
            if self._add_calls_of_cuml:
                self._add_calls_of_cuml()
            self._counts.cell_ended(index)
        except Exception as error:  # noqa: BLE001 - it must not stop the notebook
            self._failed("counting", error)

    def _begun(self) -> CallCounts:
        from .call_counts import CallCounts  # at the kernel's start it would only take time

        if self._counts is None:
            self._counts = CallCounts(self._path)
        return self._counts

    def _cudf_pandas_imported(self, module: Any) -> None:
        from . import cudf_pandas

        cudf_pandas.count(module, self._begun())

    def _cuml_accel_imported(self, module: Any) -> None:
        from . import cuml_accel

        self._add_calls_of_cuml = cuml_accel.count(module, self._begun())

    def _failed(self, where: str, error: BaseException) -> None:
        self._begun().failed(where, error)
