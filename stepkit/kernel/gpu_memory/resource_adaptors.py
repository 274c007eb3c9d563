"""Add limits, overflow to the host and statistics to the resources that RMM was set up with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import cuda_device, statistics
from .host_overflow import HostOverflow, host_memory

if TYPE_CHECKING:
    from .allocator_ladder import Request
    from .allocators import Allocator
    from .read_guard_request import Settings

Warn = Callable[[str], None]


def add(
    allocator: Allocator, request: Request, settings: Settings, warn: Warn
) -> list[HostOverflow]:
    """Wrap the resource of each device; return the overflows to the host's memory.

    A logging resource gets no statistics adaptor: RMM expects logging outermost.
    """

    def on_overflow(size: int) -> None:
        warn(f"the GPU's memory is full: {size} bytes and more go to the host's")

    overflows: list[HostOverflow] = []
    mr = cuda_device.resources()
    for number in request.devices:
        with cuda_device.selected(number):
            original = mr.get_per_device_resource(number)
            resource = _limited(original, allocator, settings, number)
            if settings.overflow and not allocator.kind.startswith("managed"):
                host = host_memory(number, settings.overflow)
                if host is None:
                    warn("no overflow: this GPU and this RMM can use no memory of the host")
                else:
                    overflows.append(HostOverflow(resource, host, on_overflow))
                    resource = overflows[-1].resource()
            if not request.arguments["logging"]:
                resource = statistics.count(resource, original)
            mr.set_per_device_resource(number, resource)
    return overflows


def _limited(resource: Any, allocator: Allocator, settings: Settings, number: int) -> Any:
    """Limit a resource that has no limit; managed memory may exceed the GPU by the overflow."""
    maximum = allocator.maximum
    limit = maximum if isinstance(maximum, int) and not allocator.pooled else None
    if allocator.kind == "managed" and settings.overflow:
        free = cuda_device.free((number,))
        limit = min(free, free if limit is None else limit) + settings.overflow
    if limit is None:
        return resource
    return cuda_device.resources().LimitingResourceAdaptor(resource, limit)
