"""Put limits, overflow and statistics around what RMM was set up with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import cuda_device, statistics
from .host_overflow import Overflow, spare

if TYPE_CHECKING:
    from .allocator_ladder import Request
    from .allocators import Setup
    from .read_guard_request import Settings

Warn = Callable[[str], None]


def dress(setup: Setup, request: Request, settings: Settings, warn: Warn) -> list[Overflow]:
    """Wrap the resource of each device; return what may overflow into the host's memory.

    There are no statistics of one that logs: RMM looks for its log at the top.
    """
    overflows: list[Overflow] = []
    mr = cuda_device.resources()
    for number in request.devices:
        with cuda_device.selected(number):
            shown = mr.get_per_device_resource(number)
            resource = _limited(shown, setup, settings, number)
            if settings.overflow and not setup.kind.startswith("managed"):
                resource = _overflowing(resource, settings.overflow, number, overflows, warn)
            if not request.arguments["logging"]:
                resource = statistics.counted(resource, shown)
            mr.set_per_device_resource(number, resource)
    return overflows


def _limited(resource: Any, setup: Setup, settings: Settings, number: int) -> Any:
    """Bound what has no bounds of its own; managed memory may exceed the GPU by the overflow."""
    limit = setup.maximum if isinstance(setup.maximum, int) and not setup.pooled else None
    if setup.kind == "managed" and settings.overflow:
        free = cuda_device.free((number,))
        limit = min(free, free if limit is None else limit) + settings.overflow
    if limit is None:
        return resource
    return cuda_device.resources().LimitingResourceAdaptor(resource, limit)


def _overflowing(
    resource: Any, limit: int, number: int, overflows: list[Overflow], warn: Warn
) -> Any:
    beside = spare(number, limit)
    if beside is None:
        warn("no overflow: this GPU and this RMM can use no memory of the host")
        return resource
    overflow = Overflow(
        resource,
        beside,
        lambda size: warn(f"the GPU's memory is full: {size} bytes and more go to the host's"),
    )
    overflows.append(overflow)
    return overflow.resource()
