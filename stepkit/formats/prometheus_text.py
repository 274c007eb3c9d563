"""Prometheus' text format: gauges, their labels and values, as lines.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True)
class Gauge:
    """One metric and its samples: labels and value, None where that is unknown.

    A batch job's figures concern one run; a counter would add up several.
    """

    name: str
    help: str
    samples: tuple[tuple[Mapping[str, str], float | None], ...]


def one(name: str, text: str, value: float | None) -> Gauge:
    """Return a metric that has one value."""
    return Gauge(name, text, (({}, value),))


def each(name: str, text: str, label: str, values: Mapping[str, float | None]) -> Gauge:
    """Return a metric with a value for each value of a label."""
    return Gauge(name, text, tuple(({label: key}, value) for key, value in values.items()))


def labelled(gauges: Iterable[Gauge], labels: Mapping[str, str]) -> Iterator[Gauge]:
    """Yield the metrics with more labels, which come first."""
    for gauge in gauges:
        samples = tuple(({**labels, **own}, value) for own, value in gauge.samples)
        yield replace(gauge, samples=samples)


def lines(gauges: Iterable[Gauge]) -> Iterator[str]:
    """Yield the lines of the text; samples of one name come together, unknown values not at all."""
    together: dict[str, Gauge] = {}
    for gauge in gauges:
        before = together.get(gauge.name, replace(gauge, samples=()))
        together[gauge.name] = replace(before, samples=(*before.samples, *gauge.samples))
    for gauge in together.values():
        known = [(labels, value) for labels, value in gauge.samples if value is not None]
        if not known:
            continue
        yield f"# HELP {gauge.name} {_escaped(gauge.help)}\n"
        yield f"# TYPE {gauge.name} gauge\n"
        for labels, value in known:
            quoted = [f'{name}="{_escaped(text, quote=True)}"' for name, text in labels.items()]
            braces = f"{{{','.join(quoted)}}}" if quoted else ""
            yield f"{gauge.name}{braces} {_number(value)}\n"


def _number(value: float) -> str:
    if not math.isfinite(value):
        return {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")
    return str(int(value)) if value == int(value) else repr(float(value))


def _escaped(text: str, *, quote: bool = False) -> str:
    whole = text.encode("utf-8", "replace").decode()  # UTF-8 cannot hold lone surrogates
    escaped = whole.replace("\\", "\\\\").replace("\n", "\\n")
    return escaped.replace('"', '\\"') if quote else escaped
