"""Count what RMM allocates, in a way that the notebook's code does not notice."""

from __future__ import annotations

from typing import Any

from . import cuda_device

_COUNTS = ("current_bytes", "peak_bytes", "total_bytes", "total_count")
_classes: dict[Any, Any] = {}


def count(resource: Any, shown: Any) -> Any:
    """Return ``resource`` with a statistics adaptor that passes for ``shown``.

    ``isinstance`` and attributes answer as for ``shown``: cudf.pandas replaces only a
    CudaMemoryResource by its own pool, and a notebook may ask for a pool's ``pool_size()``.
    """
    base = cuda_device.resources().StatisticsResourceAdaptor
    if base not in _classes:

        class StatisticsResourceAdaptor(base):  # type: ignore[misc, valid-type]
            """RMM's adaptor, which shows itself as the resource that it counts."""

            _shown: Any = None

            def _show(self, shown: Any) -> Any:
                self._shown = shown
                return self

            @property  # type: ignore[misc]
            def __class__(self) -> Any:
                return type(self) if self._shown is None else self._shown.__class__

            def __getattr__(self, name: str) -> Any:
                return getattr(self._shown, name)

        _classes[base] = StatisticsResourceAdaptor
    return _classes[base](resource)._show(shown)  # noqa: SLF001 - the class above


def read(devices: tuple[int, ...]) -> dict[str, Any]:
    """Return the class of the resource in use, whether it is ours, and its counts if it has any.

    Counts are summed over ``devices``. The GPU is not asked.
    """
    mr = cuda_device.resources()
    found: dict[str, Any] = {}
    for number in devices:
        resource = mr.get_per_device_resource(number)
        if not found:
            name = resource.__class__.__name__
            ours = type(resource) in _classes.values() or name == "LoggingResourceAdaptor"
            found.update(resource=name, ours=ours)
        while resource is not None and not issubclass(type(resource), mr.StatisticsResourceAdaptor):
            resource = getattr(resource, "upstream_mr", None)
        if resource is not None:
            counts = resource.allocation_counts
            for name in _COUNTS:
                found[name] = found.get(name, 0) + int(getattr(counts, name))
    return found
