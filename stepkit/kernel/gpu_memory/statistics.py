"""Count what RMM allocates, in a way that the notebook's code does not notice."""

from __future__ import annotations

from typing import Any

from . import cuda_device

_COUNTS = ("current_bytes", "peak_bytes", "total_bytes", "total_count")
# Adaptors that hand out the memory of the resource below them.
_PASSING = {"FailureCallbackResourceAdaptor", "LimitingResourceAdaptor", "LoggingResourceAdaptor",
            "PrefetchResourceAdaptor", "StatisticsResourceAdaptor",
            "TrackingResourceAdaptor"}  # fmt: skip
_KINDS = {
    "CudaMemoryResource": "cuda",
    "ManagedMemoryResource": "managed",
    "CudaAsyncMemoryResource": "async",
}
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

            @property
            def allocation_counts(self) -> Any:
                return _subscriptable(super().allocation_counts)

            def __getattr__(self, name: str) -> Any:
                return getattr(self._shown, name)

        _classes[base] = StatisticsResourceAdaptor
    return _classes[base](resource)._show(shown)  # noqa: SLF001 - the class above


def _subscriptable(counts: Any) -> Any:
    """Return RMM's counts so that ``counts["current_bytes"]`` works, as dask_cuda spells it."""
    base = type(counts)
    if base not in _classes:
        _classes[base] = type(base.__name__, (base,), {"__getitem__": base.__getattribute__})
    return _classes[base](**vars(counts))


def read(devices: tuple[int, ...], free: int | None = None) -> dict[str, Any]:
    """Return the class of the resource in use, its kind, whether it is ours, and its counts.

    Counts are summed over ``devices``, and missing for a resource that has none. With ``free``, the
    bytes that each GPU had, there is the most that exceeded them. CUDA is not asked.
    """
    mr = cuda_device.resources()
    found: dict[str, Any] = {}
    for number in devices:
        resources = _stack(mr.get_per_device_resource(number))
        if not found:
            name = resources[0].__class__.__name__
            found.update(resource=name, ours=_is_ours(resources), kind=_kind(resources))
        counting = [r for r in resources if issubclass(type(r), mr.StatisticsResourceAdaptor)]
        if counting:
            counts = counting[0].allocation_counts
            for name in _COUNTS:
                found[name] = found.get(name, 0) + int(getattr(counts, name))
            if free is not None:
                beyond = max(int(counts.peak_bytes) - free, 0)
                found["overflow_bytes"] = found.get("overflow_bytes", 0) + beyond
    return found


def _stack(resource: Any) -> list[Any]:
    """Return a resource and those below it."""
    found = []
    while resource is not None:
        found.append(resource)
        resource = getattr(resource, "upstream_mr", None)
    return found


def _is_ours(resources: list[Any]) -> bool:
    """Return whether the guard set up what hands the memory out; others may have adapted it."""
    for resource in resources:
        name = type(resource).__name__
        if type(resource) in _classes.values() or name == "LoggingResourceAdaptor":
            return True
        if name not in _PASSING:
            break
    return False


def _kind(resources: list[Any]) -> str | None:
    """Return the kind of allocator, as allocators.Allocator has it; None for others."""
    kind = _KINDS.get(type(resources[-1]).__name__)
    pooled = any(type(resource).__name__ == "PoolMemoryResource" for resource in resources)
    return {"cuda": "pool", "managed": "managed pool"}.get(kind or "") if pooled else kind
