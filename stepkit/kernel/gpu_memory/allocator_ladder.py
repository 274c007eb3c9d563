"""Set RMM up as asked or, where that fails, with an allocator one rung lower."""

from __future__ import annotations

import importlib.util
import inspect
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from . import allocators, cuda_device, cuda_errors
from .allocators import Allocator
from .write_guard_log import spell_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from .read_guard_request import Settings

_LONGEST = 300  # characters of the arguments in the log

_free_at_first: dict[int, int] = {}


class Request(NamedTuple):
    """A call of ``rmm.reinitialize``: RMM's own function, and its arguments."""

    original: Callable[..., None]
    arguments: dict[str, Any]
    spelled: str = ""

    @property
    def devices(self) -> tuple[int, ...]:
        """The devices to set up, as RMM reads them."""
        devices = self.arguments["devices"]
        if devices is None:
            return (0,)
        if isinstance(devices, int):
            return (devices,)
        return tuple(dict.fromkeys(devices)) if isinstance(devices, (list, tuple)) else ()


class Outcome(NamedTuple):
    """What serves (None: nothing), what failed before it, and the error for the notebook."""

    asked: Allocator
    served: Allocator | None
    tried: list[dict[str, Any]]
    error: BaseException | None = None


def request(original: Callable[..., None], args: Any, kwargs: Any) -> Request:
    """Return a call in its full form. Raises :class:`TypeError` for arguments it does not take."""
    bound = inspect.signature(original).bind(*args, **kwargs)
    bound.apply_defaults()
    words = [*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())]
    return Request(original, dict(bound.arguments), ", ".join(words)[:_LONGEST])


def set_up(request: Request, settings: Settings) -> Outcome:
    """Set RMM up on the highest rung that works; errors of RMM are returned, not raised."""
    asked = wanted = allocators.asked_by_notebook(request.arguments)
    before: int | None = None
    with suppress(Exception):  # RMM will raise the same error in a moment
        before = cuda_device.current()
    try:
        if settings.overrides or settings.overflow:
            _check_sizes(asked)
            asked, wanted = _wanted(request, settings)
            _build(request, wanted)
        else:
            request.original(**request.arguments)
        cuda_device.current()  # an RMM that only warns without a GPU raises here
    except Exception as error:  # whatever RMM raises
        repair(request, before)
        tried = [wanted.described(spell_error(error))]
        refused = "not supported" if wanted.kind == "async" else "multiple of 256"
        has_lower = wanted.kind == "async" or wanted.pooled
        # No variable of this frame holds the error: its traceback holds the frame, and so, until
        # the garbage is collected, those of the notebook with their arrays.
        if has_lower and (cuda_errors.is_full(error) or refused in str(error)):
            return _descend(request, Outcome(asked, None, tried, error), wanted, before)
        return Outcome(asked, None, tried, cuda_errors.missing(error) or error)
    return Outcome(asked, wanted, [])


def set_up_empty(request: Request, settings: Settings) -> Outcome:
    """Set up what a mode asks, so that nothing is taken from the GPU before the first allocation.

    A pool begins with no memory and grows. CUDA makes a context only where a share or an overflow
    needs to know what is free, and for CUDA's async pool. Errors of RMM are returned, not raised.
    """
    if settings.mode == "async":
        return set_up(request, settings)
    asked = Allocator("asked", settings.mode)
    try:
        asked, wanted = _wanted(request, settings)
        mr = cuda_device.resources()
        resource = mr.ManagedMemoryResource() if wanted.managed else mr.CudaMemoryResource()
        if wanted.pooled:
            resource = mr.PoolMemoryResource(resource, 0, wanted.maximum)
        for number in request.devices:
            mr.set_per_device_resource(number, resource)
    except Exception as error:  # whatever RMM raises
        tried = [asked.described(spell_error(error))]
        return Outcome(asked, None, tried, cuda_errors.missing(error) or error)
    return Outcome(asked._replace(initial=None), wanted._replace(initial=None), [])


def _wanted(request: Request, settings: Settings) -> tuple[Allocator, Allocator]:
    """Return what the notebook or the mode asks, and what is to serve it."""

    def free() -> int:
        return _free_before(_present(request.devices))

    asked = wanted = allocators.asked_by_notebook(request.arguments)
    if settings.overrides:
        asked = wanted = allocators.asked_by_mode(settings, free)
    if settings.overflow or asked.managed:
        leave = all(cuda_device.pages_leave(number) for number in _present(request.devices))
        if settings.overflow and leave:
            wanted = allocators.overflowing(asked, settings.overflow, free())
        elif settings.overrides:
            wanted = asked._replace(prefetch=leave)
    return asked, wanted


def _free_before(devices: tuple[int, ...]) -> int:
    """Return the free bytes that a mode's shares refer to, on the fullest of ``devices``.

    They are what was free when the mode first set the device up: at later calls its own pool holds
    some, which RMM frees before it makes the next pool.
    """
    for number in devices:
        if number not in _free_at_first:
            _free_at_first[number] = cuda_device.free((number,))
    return min(_free_at_first[number] for number in devices)


def _descend(request: Request, failed: Outcome, wanted: Allocator, before: int | None) -> Outcome:
    free = cuda_device.free(_present(request.devices))
    for allocator in allocators.lower_rungs(wanted, free):
        try:
            _build(request, allocator)
        except Exception as error:  # the next rung may work
            failed.tried.append(allocator.described(spell_error(error)))
            repair(request, before)
        else:
            return failed._replace(served=allocator, error=None)
    if importlib.util.find_spec("cupy") is None:
        return failed
    return failed._replace(served=Allocator("cupy", "cupy"), error=None)


def _build(request: Request, allocator: Allocator) -> None:
    """Set RMM up with ``allocator`` on all devices. Raises what RMM raises."""
    arguments = request.arguments
    request.original(
        **{
            **arguments,
            "pool_allocator": allocator.pooled,
            "managed_memory": allocator.managed,
            "initial_pool_size": allocator.initial if allocator.pooled else None,
            "maximum_pool_size": allocator.maximum if allocator.pooled else None,
            "logging": arguments["logging"] and allocator.kind != "async",
        }
    )
    if allocator.kind != "async":
        return
    # RMM's default first size was half of what is free, and later none.
    initial = allocators.ALIGNMENT if allocator.initial is None else allocator.initial
    mr = cuda_device.resources()
    for number in request.devices:
        with cuda_device.selected(number):
            resource = mr.CudaAsyncMemoryResource(
                initial_pool_size=initial, release_threshold=allocator.threshold
            )
            if arguments["logging"]:
                resource = mr.LoggingResourceAdaptor(resource, arguments["log_file_name"])
            mr.set_per_device_resource(number, resource)


def _check_sizes(asked: Allocator) -> None:
    """Raise RMM's error for sizes that it cannot read: a mode would replace them unread.

    The pool has no memory: its upstream resource returns an address that nothing touches.
    """
    mr = cuda_device.resources()
    if asked.pooled:
        upstream = mr.CallbackMemoryResource(lambda *_: allocators.ALIGNMENT, lambda *_: None)
        initial = allocators.ALIGNMENT if asked.initial is None else asked.initial
        with suppress(RuntimeError, MemoryError):  # about sizes that the mode replaces
            mr.PoolMemoryResource(upstream, initial, asked.maximum)


def repair(request: Request, before: int | None) -> None:
    """Make RMM's state consistent after a call that failed half-way.

    RMM drops its resources first and then takes the new ones, so its C++ half may still point at
    dropped ones, and another device may be current.
    """
    if before is None:
        return
    try:
        cuda_device.select(before)
        mr = cuda_device.resources()
        for number in {before, *_present(request.devices)}:
            mr.set_per_device_resource(number, mr.get_per_device_resource(number))
    except Exception:  # noqa: S110 - the first error is the one to show
        pass


def _present(devices: tuple[int, ...]) -> tuple[int, ...]:
    """Return those devices that exist; RMM has its own error for the others."""
    existing = range(cuda_device.count())
    return tuple(number for number in devices if number in existing) or (0,)
