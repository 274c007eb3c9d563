"""The guard of one process: what it wraps, and what it tells of it."""

from __future__ import annotations

import atexit
import functools
import os
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

from .write_guard_log import Report, spelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from .allocator_ladder import Climb, Request
    from .host_overflow import Overflow
    from .read_guard_request import Settings

_OURS = "_stepkit_guarded"


class Guard:
    """Wraps RMM's functions when they are imported, and reports on what they do."""

    def __init__(self, settings: Settings, *, child: bool) -> None:
        self.settings = settings
        self.report = Report(settings.report)
        self._child = child
        self._pid = os.getpid()
        self._devices: tuple[int, ...] = (0,)
        self._overflows: list[Overflow] = []
        self._told: dict[str, Any] = {}
        self._climbing = threading.local()
        self._warned = False
        self._cupy = False
        self._set = False

    def begin(self) -> None:
        """Say that the guard is there, and see to the last words."""
        version = ".".join(str(part) for part in sys.version_info[:3])
        self.report.tell("installed", python=version, mode=self.settings.mode, child=self._child)
        atexit.register(self._end)

    def rmm_imported(self, module: Any) -> None:
        """Wrap ``rmm.rmm``'s ``reinitialize``, and set RMM up when a mode asks for it."""
        original = module.reinitialize
        if hasattr(original, _OURS):
            return
        package = sys.modules["rmm"]
        self.report.tell("imported", version=getattr(package, "__version__", None))
        module.reinitialize = self._guarded(original)
        if getattr(package, "reinitialize", None) is original:
            package.reinitialize = module.reinitialize  # type: ignore[attr-defined]
        if self.settings.overrides and not self._child and not self._set:
            self._set = True  # one that is imported again keeps what it has, as without a guard
            self._set_up(original, (), {})

    def allocator_imported(self, module: Any) -> None:
        """Wrap CuPy's allocator of RMM's, so that it can do without RMM."""
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
        """Tell what changed since the last cell."""
        self._tell_statistics("cell")

    def _guarded(self, original: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(original)
        def reinitialize(*args: Any, **kwargs: Any) -> None:
            if getattr(self._climbing, "on", False):  # a hook of RMM's that calls it in turn
                return original(*args, **kwargs)
            try:
                error = self._set_up(original, args, kwargs)
            except Exception as fault:  # the guard fails open
                self.report.broken("rmm.reinitialize", fault)
                return original(*args, **kwargs)
            return self._deliver(error)

        setattr(reinitialize, _OURS, True)
        return reinitialize

    def _set_up(
        self, original: Callable[..., None], args: Any, kwargs: Any
    ) -> BaseException | None:
        """Set RMM up and tell how; return what the notebook gets to see of it."""
        from . import allocator_ladder  # at the kernel's start it would only take time

        try:
            request = allocator_ladder.request(original, args, kwargs)
        except TypeError:
            return _raised(original, args, kwargs)
        self._tell_statistics("reinitialize")
        self._overflows = []  # they would keep a pool alive that RMM is to free first
        self._climbing.on = True
        try:
            climb = allocator_ladder.climb(request, self.settings)
        finally:
            self._climbing.on = False
        self._tell_climb(request, climb)
        if climb.served and climb.served.kind != "cupy":
            self._dress(climb, request)
        return climb.error

    def _tell_climb(self, request: Request, climb: Climb) -> None:
        from . import error_causes

        error = climb.error
        self.report.tell(
            "reinitialize",
            by="mode" if self.settings.overrides else "notebook",
            arguments=request.spelled,
            asked=climb.asked.told(),
            served=climb.served and climb.served.told(),
            tried=climb.tried,
            error=error and spelled(error),
            cuda=error_causes.cuda_error(error)[0] or None,
            devices=request.devices,
        )

    def _dress(self, climb: Climb, request: Request) -> None:
        from . import resource_adaptors

        self._devices = request.devices
        self._told = {}
        if climb.served is None:
            return
        try:
            self._overflows = resource_adaptors.dress(
                climb.served, request, self.settings, self._warn
            )
        except Exception as error:  # RMM is set up; only our additions are missing
            self.report.broken("the statistics of RMM", error)

    def _deliver(self, error: BaseException | None) -> None:
        """Give the notebook what is its own to see."""
        from .error_causes import GpuMissing

        if error is None:
            return
        if not isinstance(error, GpuMissing) or self.settings.without_gpu != "warn":
            raise error
        if not self._warned:
            self._warned = True
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
        if not self._cupy:
            self._cupy = True
            self._warn(f"CuPy's own pool serves its arrays, as RMM failed: {spelled(error)}")
        return pointer

    def _warn(self, text: str) -> None:
        self.report.tell("warning", text=text)

    def _tell_statistics(self, when: str) -> None:
        """Tell what RMM counted, when that changed; nothing before it is imported."""
        if "rmm.rmm" not in sys.modules:
            return
        try:
            from . import statistics

            found = statistics.read(self._devices)
            if self._overflows:
                found["overflow_bytes"] = sum(overflow.peak for overflow in self._overflows)
        except Exception as error:  # the guard fails open
            self.report.broken("reading the statistics of RMM", error)
            return
        if found != self._told:
            self._told = found
            self.report.tell("statistics", when=when, **found)

    def _end(self) -> None:
        if os.getpid() != self._pid:
            return
        self._tell_statistics("exit")
        cupy = sys.modules.get("cupy")
        if cupy is None:
            return
        try:
            from . import cuda_device

            if cuda_device.initialised():
                held = int(cupy.get_default_memory_pool().total_bytes())
                self.report.tell("statistics", when="exit", cupy_bytes=held)
        except Exception as error:  # the guard fails open
            self.report.broken("reading CuPy's pool", error)


def _raised(function: Callable[..., None], args: Any, kwargs: Any) -> BaseException | None:
    try:
        function(*args, **kwargs)
    except Exception as error:
        return error
    return None
