"""Set RMM up as asked or, where that fails, one rung lower."""

from __future__ import annotations

import importlib.util
import inspect
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from . import allocators, cuda_device, error_causes
from .allocators import Setup
from .write_guard_log import spelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from .read_guard_request import Settings

_LONGEST = 300  # characters of the arguments in the report

_free_at_first: dict[int, int] = {}


class Request(NamedTuple):
    """A call of ``rmm.reinitialize``: RMM's own function, and what it is to be called with."""

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


class Climb(NamedTuple):
    """How far down it went: what serves (None: nothing), what failed, what the notebook gets."""

    asked: Setup
    served: Setup | None
    tried: list[dict[str, Any]]
    error: BaseException | None = None


def request(original: Callable[..., None], args: Any, kwargs: Any) -> Request:
    """Return a call in its full form. Raises :class:`TypeError` for arguments that it has not."""
    bound = inspect.signature(original).bind(*args, **kwargs)
    bound.apply_defaults()
    words = [*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())]
    return Request(original, dict(bound.arguments), ", ".join(words)[:_LONGEST])


def climb(request: Request, settings: Settings) -> Climb:
    """Set RMM up on the highest rung that holds; errors of RMM are returned, not raised."""
    asked = allocators.asked(request.arguments)
    before = _current()
    try:
        if settings.overrides:
            _check(asked)
            asked = allocators.ordered(settings, _free(_present(request.devices)))
            _build(request, asked)
        else:
            request.original(**request.arguments)
        cuda_device.current()  # an RMM that only warns when there is no GPU says so here
    except Exception as error:  # whatever RMM raises
        repair(request, before)
        tried = [asked.told(spelled(error))]
        if not _lowers(error, asked):
            return Climb(asked, None, tried, error_causes.missing(error) or error)
        return _descend(request, Climb(asked, None, tried, error), before)
    return Climb(asked, asked, [])


def _free(devices: tuple[int, ...]) -> int:
    """Return the bytes that a mode's shares are of, on the fullest of ``devices``.

    They are what was free when the mode first set the device up: at each further call its own
    pool holds them, which RMM frees before it makes the next one.
    """
    for number in devices:
        if number not in _free_at_first:
            _free_at_first[number] = cuda_device.free((number,))
    return min(_free_at_first[number] for number in devices)


def _descend(request: Request, failed: Climb, before: int | None) -> Climb:
    for setup in allocators.lower(failed.asked, cuda_device.free(_present(request.devices))):
        try:
            _build(request, setup)
        except Exception as error:  # the next rung may hold
            failed.tried.append(setup.told(spelled(error)))
            repair(request, before)
        else:
            return failed._replace(served=setup, error=None)
    if importlib.util.find_spec("cupy") is None:
        return failed
    return failed._replace(served=Setup("cupy", "cupy"), error=None)


def _build(request: Request, setup: Setup) -> None:
    """Set RMM up so, on all devices. Raises what RMM raises."""
    request.original(
        **{
            **request.arguments,
            "pool_allocator": setup.pooled,
            "managed_memory": setup.kind.startswith("managed"),
            "initial_pool_size": setup.initial if setup.pooled else None,
            "maximum_pool_size": setup.maximum if setup.pooled else None,
            "logging": request.arguments["logging"] and setup.kind != "async",
        }
    )
    if setup.kind == "async":
        for number in request.devices:
            with cuda_device.selected(number):
                cuda_device.resources().set_per_device_resource(number, _async(request, setup))


def _async(request: Request, setup: Setup) -> Any:
    """Make CUDA's own pool; RMM's default first size was half of what is free, and later none."""
    mr = cuda_device.resources()
    resource = mr.CudaAsyncMemoryResource(
        initial_pool_size=allocators.ALIGNMENT if setup.initial is None else setup.initial,
        release_threshold=setup.threshold,
    )
    if request.arguments["logging"]:
        return mr.LoggingResourceAdaptor(resource, request.arguments["log_file_name"])
    return resource


def _check(asked: Setup) -> None:
    """Raise what RMM would of sizes that it does not take: a mode replaces them unread.

    The pool is one of no memory: it asks for its first block, and nothing touches it.
    """
    mr = cuda_device.resources()
    if asked.pooled:
        upstream = mr.CallbackMemoryResource(lambda *_: allocators.ALIGNMENT, lambda *_: None)
        initial = allocators.ALIGNMENT if asked.initial is None else asked.initial
        with suppress(RuntimeError, MemoryError):  # of sizes that the mode replaces
            mr.PoolMemoryResource(upstream, initial, asked.maximum)


def _lowers(error: BaseException, setup: Setup) -> bool:
    """Tell whether a lower rung may hold where ``setup`` failed."""
    if setup.kind == "async":
        return error_causes.full(error) or "not supported" in str(error)
    return setup.pooled and (error_causes.full(error) or "multiple of 256" in str(error))


def repair(request: Request, before: int | None) -> None:
    """Make RMM's state whole after a call that failed half-way.

    RMM forgets its resources first and takes the new ones then, so its C++ half may still point
    at what is gone, and another device be the current one.
    """
    if before is None:
        return
    try:
        cuda_device.select(before)
        mr = cuda_device.resources()
        for number in {before, *_present(request.devices)}:
            mr.set_per_device_resource(number, mr.get_per_device_resource(number))
    except Exception:  # noqa: S110 - what failed first is the error to show
        pass


def _present(devices: tuple[int, ...]) -> tuple[int, ...]:
    """Return those devices that there are; for others RMM has an error of its own."""
    there = range(cuda_device.count())
    return tuple(number for number in devices if number in there) or (0,)


def _current() -> int | None:
    try:
        return cuda_device.current()
    except Exception:  # RMM is about to say so itself
        return None
