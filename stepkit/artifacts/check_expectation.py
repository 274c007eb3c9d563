"""Compare an artifact with what it must be like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepkit.artifacts import content_types, count_results
from stepkit.formats import sizes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stepkit.artifacts.expectations import Expectation


def faults(expected: Expectation, path: Path) -> Iterator[str]:
    """Yield what is wrong with the artifact at ``path``, each as the end of a sentence about it.

    Raises :class:`OSError` when it cannot be read.
    """
    size = path.stat().st_size
    if size < expected.size:
        least = sizes.spell(expected.size, decimal=True)
        yield f"has {sizes.spell(size, decimal=True)}, not {least} or more"
    if expected.kind and (fault := content_types.fault(path, expected.kind)):
        yield fault
        return
    if expected.counts or expected.kind == "notebook":
        try:
            found = count_results.count(path)
        except count_results.UncountableError as error:
            yield str(error)
            return
        for name, least_number in expected.counts.items():
            if found[name] < least_number:
                what = name if found[name] != 1 else name.removesuffix("s")
                yield f"has {found[name] or 'no'} {what}, not {least_number} or more"
