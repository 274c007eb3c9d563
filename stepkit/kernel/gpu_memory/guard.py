"""The guard of one process: it wraps functions of RMM, and logs what they do."""

from __future__ import annotations

import atexit
import functools
import os
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

from .write_guard_log import GuardLogWriter, spell_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from .allocator_ladder import Outcome, Request
    from .host_overflow import HostOverflow
    from .read_guard_request import Settings

_OURS = "_stepkit_guarded"


class Guard:
    """Wraps RMM's functions when they are imported, and logs what they do."""

    def __init__(self, settings: Settings, *, child: bool) -> None:
        self.settings = settings
        self.log = GuardLogWriter(settings.report)
        self._child = child
        self._pid = os.getpid()
        self._devices: tuple[int, ...] = (0,)
        self._overflows: list[HostOverflow] = []
        self._statistics: dict[str, Any] = {}
        self._setting_up = threading.local()
        self._warned_of_gpu = False
        self._cupy_serves = False
        self._mode_is_set_up = False

    def begin(self) -> None:
        """Log that the guard is there, and log the last statistics at the end of the process."""
        version = ".".join(str(part) for part in sys.version_info[:3])
        self.log.write("installed", python=version, mode=self.settings.mode, child=self._child)
        atexit.register(self._end)

    def rmm_imported(self, module: Any) -> None:
        """Wrap ``rmm.rmm``'s ``reinitialize``, and set RMM up when a mode asks for it."""
        original = module.reinitialize
        if hasattr(original, _OURS):
            return
        package = sys.modules["rmm"]
        self.log.write("imported", version=getattr(package, "__version__", None))
        module.reinitialize = self._guarded(original)
        if getattr(package, "reinitialize", None) is original:
            package.reinitialize = module.reinitialize  # type: ignore[attr-defined]
        if self.settings.overrides and not self._child and not self._mode_is_set_up:
            self._mode_is_set_up = True  # an RMM that is imported again keeps its resources
            self._set_up(original, (), {})

    def allocator_imported(self, module: Any) -> None:
        """Wrap RMM's allocator for CuPy, so that CuPy's own pool serves where RMM is broken."""
        original = module.rmm_cupy_allocator
        if hasattr(original, _OURS):
            return

        @functools.wraps(original)
        def rmm_cupy_allocator(nbytes: int) -> Any:
            try:
                return original(nbytes)
            except MemoryError:
                raise
            except Exception as error:
                pointer = self._from_cupy(nbytes, error)
                if pointer is None:
                    raise
                return pointer

        setattr(rmm_cupy_allocator, _OURS, True)
        module.rmm_cupy_allocator = rmm_cupy_allocator

    def cell_ended(self, *_: Any) -> None:
        """Log the statistics, if they changed since the last cell."""
        self._log_statistics("cell")

    def _guarded(self, original: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(original)
        def reinitialize(*args: Any, **kwargs: Any) -> None:
            if getattr(self._setting_up, "on", False):  # called by a hook of RMM during a set-up
                return original(*args, **kwargs)
            try:
                error = self._set_up(original, args, kwargs)
            except Exception as error_of_ours:  # the guard fails open
                self.log.write_error("rmm.reinitialize", error_of_ours)
                return original(*args, **kwargs)
            return self._deliver(error)

        setattr(reinitialize, _OURS, True)
        return reinitialize

    def _set_up(
        self, original: Callable[..., None], args: Any, kwargs: Any
    ) -> BaseException | None:
        """Set RMM up and log how; return the error that the notebook is to see."""
        from . import allocator_ladder  # at the kernel's start it would only take time

        try:
            request = allocator_ladder.request(original, args, kwargs)
        except TypeError:
            try:
                original(*args, **kwargs)
            except Exception as error:
                return error
            return None
        self._log_statistics("reinitialize")
        self._overflows = []  # they would keep a pool alive that RMM is to free first
        self._setting_up.on = True
        try:
            outcome = allocator_ladder.set_up(request, self.settings)
        finally:
            self._setting_up.on = False
        self._log_outcome(request, outcome)
        if outcome.served and outcome.served.kind != "cupy":
            from . import resource_adaptors

            self._devices = request.devices
            self._statistics = {}
            try:
                self._overflows = resource_adaptors.add(
                    outcome.served, request, self.settings, self._warn
                )
            except Exception as error:  # RMM is set up; only our additions are missing
                self.log.write_error("the statistics of RMM", error)
        return outcome.error

    def _log_outcome(self, request: Request, outcome: Outcome) -> None:
        from . import cuda_errors

        error = outcome.error
        self.log.write(
            "reinitialize",
            by="mode" if self.settings.overrides else "notebook",
            arguments=request.spelled,
            asked=outcome.asked.described(),
            served=outcome.served and outcome.served.described(),
            tried=outcome.tried,
            error=error and spell_error(error),
            cuda=cuda_errors.cuda_error(error)[0] or None,
            devices=request.devices,
        )

    def _deliver(self, error: BaseException | None) -> None:
        """Raise the error in the notebook, or warn once where a missing GPU is accepted."""
        from .cuda_errors import GpuMissing

        if error is None:
            return
        if not isinstance(error, GpuMissing) or self.settings.without_gpu != "warn":
            raise error
        if not self._warned_of_gpu:
            self._warned_of_gpu = True
            warnings.warn(f"RMM is not set up: {error}", RuntimeWarning, stacklevel=3)

    def _from_cupy(self, size: int, error: Exception) -> Any:
        """Return memory of CuPy's own pool where only RMM is broken, else None."""
        cupy = sys.modules.get("cupy")
        if cupy is None:
            return None
        try:
            pointer = cupy.get_default_memory_pool().malloc(size)
        except Exception:  # RMM is not what is broken
            return None
        if not self._cupy_serves:
            self._cupy_serves = True
            self._warn(f"CuPy's own pool serves its arrays, as RMM failed: {spell_error(error)}")
        return pointer

    def _warn(self, text: str) -> None:
        self.log.write("warning", text=text)

    def _log_statistics(self, when: str) -> None:
        """Log what RMM counted, if that changed and RMM is imported."""
        if "rmm.rmm" not in sys.modules:
            return
        try:
            from . import statistics

            found = statistics.read(self._devices)
            if self._overflows:
                found["overflow_bytes"] = sum(overflow.peak for overflow in self._overflows)
        except Exception as error:  # the guard fails open
            self.log.write_error("reading the statistics of RMM", error)
            return
        if found != self._statistics:
            self._statistics = found
            self.log.write("statistics", when=when, **found)

    def _end(self) -> None:
        if os.getpid() != self._pid:
            return
        self._log_statistics("exit")
        cupy = sys.modules.get("cupy")
        if cupy is None:
            return
        try:
            from . import cuda_device

            if cuda_device.initialised():
                held = int(cupy.get_default_memory_pool().total_bytes())
                self.log.write("statistics", when="exit", cupy_bytes=held)
        except Exception as error:  # the guard fails open
            self.log.write_error("reading CuPy's pool", error)
