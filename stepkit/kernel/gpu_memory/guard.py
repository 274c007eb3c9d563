"""The guard of one process: it wraps functions of RMM, and logs what they do."""

from __future__ import annotations

import atexit
import functools
import os
import sys
import threading
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .write_guard_log import GuardLogWriter, spell_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from .allocator_ladder import Outcome, Request
    from .read_guard_request import Settings

_OURS = "_stepkit_guarded"
_LIBRARIES = ("cudf", "cuml")
_UCX = ("ucxx", "ucp")  # its bindings for Python, new and old


class Guard:
    """Wraps RMM's functions when they are imported, and logs what they do."""

    def __init__(self, settings: Settings, *, child: bool) -> None:
        self.settings = settings
        self.log = GuardLogWriter(settings.report)
        self._child = child
        self._pid = os.getpid()
        self._devices: tuple[int, ...] = (0,)
        self._free: int | None = None  # bytes of the GPU, where an allocator may exceed them
        self._pages_leave: bool | None = None  # unknown before CUDA is in use
        self._unused: Callable[..., None] | None = None  # RMM's function, since the import's set-up
        self._serves_async = False
        self._statistics: dict[str, Any] = {}
        self._setting_up = threading.local()
        self._warned: set[str] = set()
        self._mode_is_set_up = False

    def begin(self) -> None:
        """Log that the guard is there, and log the last statistics at the end of the process."""
        version = ".".join(str(part) for part in sys.version_info[:3])
        self.log.write("installed", python=version, mode=self.settings.mode, child=self._child)
        atexit.register(self._end)

    def rmm_imported(self, module: Any) -> None:
        """Wrap ``rmm.rmm``'s ``reinitialize``, and set RMM up when a mode asks for it.

        Nothing is taken from the GPU yet: what is imported next may be dask_cuda.
        """
        original = module.reinitialize
        if hasattr(original, _OURS):
            return
        package = sys.modules["rmm"]
        self.log.write("imported", version=getattr(package, "__version__", None))
        module.reinitialize = self._guarded(original)
        if getattr(package, "reinitialize", None) is original:
            package.reinitialize = module.reinitialize  # type: ignore[attr-defined]
        if self._asked().overrides and not self._child and not self._mode_is_set_up:
            self._mode_is_set_up = True  # an RMM that is imported again keeps its resources
            self._set_up(original, (), {}, empty=True)
            self._unused = original

    def dask_cuda_imported(self, _: Any) -> None:
        """Give up what is unused: workers of Dask set RMM up themselves, and share the GPU."""
        if not self.settings.overrides and not self.settings.overflow:
            return
        self._warn(
            "dask_cuda is imported: the guard leaves RMM as Dask and the notebook set it up; "
            "options of LocalCUDACluster choose the allocator of its workers"
        )
        if self._unused and not self._total():
            from . import cuda_device

            mr = cuda_device.resources()
            mr.set_per_device_resource(0, mr.CudaMemoryResource())  # RMM's default
        self._unused = None

    def ucx_imported(self, _: Any) -> None:
        """Warn where memory of CUDA's async pool is to be sent to another process."""
        if self._serves_async:
            self._warn(
                "UCX is imported: it cannot share memory of CUDA's async pool between processes "
                "(CUDA IPC); use --rmm-mode pool"
            )

    def allocator_imported(self, module: Any) -> None:
        """Wrap RMM's allocator for CuPy."""
        from . import cupy_allocator

        if not hasattr(module.rmm_cupy_allocator, _OURS):
            cupy_allocator.wrap(module, before_array=self._fill_pool, warn=self._warn)
            setattr(module.rmm_cupy_allocator, _OURS, True)

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

    def _asked(self) -> Settings:
        """Return what the guard is to do: next to Dask, not more than to watch."""
        return self.settings.watching() if "dask_cuda" in sys.modules else self.settings

    def _fill_pool(self) -> None:
        """Give an empty pool its first size, unless something was allocated from it."""
        original, self._unused = self._unused, None
        if original is None or self.settings.mode != "pool":
            return
        try:
            if not self._total():
                self._set_up(original, (), {})
        except Exception as error:  # the guard fails open
            self.log.write_error("the first allocation", error)

    def _total(self) -> int:
        """Return the bytes that RMM has handed out since it was set up."""
        from . import statistics

        return int(statistics.read(self._devices).get("total_bytes", 0))

    def _set_up(
        self, original: Callable[..., None], args: Any, kwargs: Any, *, empty: bool = False
    ) -> BaseException | None:
        """Set RMM up and log how; return the error that the notebook is to see.

        With ``empty``, nothing is taken from the GPU before the first allocation.
        """
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
        self._unused = None
        settings = self._asked()
        self._setting_up.on = True
        try:
            set_up = allocator_ladder.set_up_empty if empty else allocator_ladder.set_up
            outcome = set_up(request, settings)
        finally:
            self._setting_up.on = False
        self._log_outcome(request, outcome, settings)
        if outcome.served and outcome.served.kind != "cupy":
            from . import resource_adaptors

            self._devices = request.devices
            self._statistics = {}
            self._free = outcome.served.free
            self._serves_async = outcome.served.kind == "async"
            if not empty or settings.overflow:  # it initialises CUDA
                self._note_overflow(request, settings)
            try:
                resource_adaptors.add(outcome.served, request)
            except Exception as error:  # RMM is set up; only our additions are missing
                self.log.write_error("the adaptors of RMM", error)
            if any(name in sys.modules for name in _UCX):
                self.ucx_imported(None)
        return outcome.error

    def _note_overflow(self, request: Request, settings: Settings) -> None:
        """Note whether pages can leave the GPU, and warn where the overflow needs it."""
        from . import cuda_device

        with suppress(Exception):  # it only makes messages clearer
            self._pages_leave = all(map(cuda_device.pages_leave, request.devices))
        if settings.overflow and self._pages_leave is False:
            self._warn(
                "--rmm-overflow does nothing: pages of managed memory cannot leave this GPU, as "
                "under WSL and on some vGPUs"
            )

    def _log_outcome(self, request: Request, outcome: Outcome, settings: Settings) -> None:
        from . import cuda_errors

        error = outcome.error
        self.log.write(
            "reinitialize",
            by="mode" if settings.overrides else "notebook",
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
        if "no GPU" not in self._warned:
            self._warned.add("no GPU")
            warnings.warn(f"RMM is not set up: {error}", RuntimeWarning, stacklevel=3)

    def _warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self.log.write("warning", text=text)

    def _log_statistics(self, when: str) -> None:
        """Log what RMM counted, if that changed and RMM is imported."""
        if "rmm.rmm" not in sys.modules:
            return
        try:
            from . import cuda_device, statistics

            found = statistics.read(self._devices, self._free)
            if self._pages_leave is None and cuda_device.initialised():
                self._pages_leave = cuda_device.pages_leave(self._devices[0])
        except Exception as error:  # the guard fails open
            self.log.write_error("reading the statistics of RMM", error)
            return
        found["libraries"] = [name for name in _LIBRARIES if name in sys.modules]
        found["pages_leave"] = self._pages_leave
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
                limit = int(cupy.get_default_memory_pool().get_limit())
                self.log.write("statistics", when="exit", cupy_bytes=held, cupy_limit=limit)
        except Exception as error:  # the guard fails open
            self.log.write_error("reading CuPy's pool", error)
