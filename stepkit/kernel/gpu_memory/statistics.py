"""Count what RMM hands out, without a notebook that can tell."""

from __future__ import annotations

from typing import Any

from . import cuda_device

_COUNTS = ("current_bytes", "peak_bytes", "total_bytes", "total_count")
_classes: dict[Any, Any] = {}


def counted(resource: Any, shown: Any) -> Any:
    """Return ``resource`` with statistics, that passes for ``shown``.

    ``isinstance`` and attributes answer as ``shown`` would: cudf.pandas takes its own pool only in
    place of a CudaMemoryResource, and a notebook may ask for a pool's ``pool_size()``.
    """
    return _counting_class()(resource)._shows(shown)  # noqa: SLF001 - a class of ours


def _counting_class() -> Any:
    base = cuda_device.resources().StatisticsResourceAdaptor
    if base in _classes:
        return _classes[base]

    class StatisticsResourceAdaptor(base):  # type: ignore[misc, valid-type]
        """RMM's statistics, seen as what they are about."""

        _shown: Any = None

        def _shows(self, shown: Any) -> Any:
            self._shown = shown
            return self

        @property  # type: ignore[misc]
        def __class__(self) -> Any:
            return type(self) if self._shown is None else self._shown.__class__

        def __getattr__(self, name: str) -> Any:
            return getattr(self._shown, name)

    _classes[base] = StatisticsResourceAdaptor
    return StatisticsResourceAdaptor


def read(devices: tuple[int, ...]) -> dict[str, Any]:
    """Return the class of the resource in use, whether it is ours, and its counts if it has any.

    Counts are summed over ``devices``. It asks no GPU.
    """
    mr = cuda_device.resources()
    found: dict[str, Any] = {}
    for number in devices:
        resource = mr.get_per_device_resource(number)
        if not found:
            name = resource.__class__.__name__
            ours = type(resource) in _classes.values() or name == "LoggingResourceAdaptor"
            found.update(resource=name, ours=ours)
        counts = _counts(resource, mr.StatisticsResourceAdaptor)
        for name in _COUNTS if counts is not None else ():
            found[name] = found.get(name, 0) + int(getattr(counts, name))
    return found


def _counts(resource: Any, statistics: type) -> Any:
    while resource is not None:
        if issubclass(type(resource), statistics):
            return resource.allocation_counts
        resource = getattr(resource, "upstream_mr", None)
    return None
