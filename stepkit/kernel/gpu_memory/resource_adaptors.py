"""Add prefetching, limits and statistics to the resources that RMM was set up with.

All adaptors are RMM's own, in C++: no allocation calls Python. A library may allocate from one
thread while another one holds Python's lock, as cuML does up to 25.08, and from RMM 26.06 on an
allocation may outlive the Python object that made its resource.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import cuda_device, statistics

if TYPE_CHECKING:
    from .allocator_ladder import Request
    from .allocators import Allocator


def add(allocator: Allocator, request: Request) -> None:
    """Wrap the resource of each device.

    A logging resource gets no statistics adaptor: RMM expects logging outermost.
    """
    mr = cuda_device.resources()
    limit = allocator.maximum if isinstance(allocator.maximum, int) else None
    for number in request.devices:
        resource = original = mr.get_per_device_resource(number)
        if allocator.prefetch:
            resource = mr.PrefetchResourceAdaptor(resource)
        if limit is not None and not allocator.pooled:  # a pool has its own limit
            resource = mr.LimitingResourceAdaptor(resource, limit)
        if not request.arguments["logging"]:
            resource = statistics.count(resource, original)
        mr.set_per_device_resource(number, resource)
