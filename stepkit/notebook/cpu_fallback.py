"""What cudf.pandas and cuml.accel ran on the CPU, and whether that is more than is accepted."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError, Reason, UserCodeError
from stepkit.formats import fallback_text
from stepkit.formats.plain_text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stepkit.notebook.verdict import CellRun

MOST: Final = 5  # functions that are shown
_MOST_TEXT: Final = 300  # characters of a name, or of a reason
_LARGEST: Final = 10**15  # that a report may hold
_FLAG: Final = "--max-cpu-fallback"
_SHARE: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(%?)", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class SlowFunction:
    """A function that ran on the CPU: how often, for how many seconds, and why if it is known."""

    name: str
    calls: int
    seconds: float
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class CpuFallback:
    """The calls of cudf.pandas and cuml.accel in a cell or a notebook.

    ``share`` is from 0 to 1: ``cpu_calls`` of all ``calls``. ``out_of_memory`` counts those that
    ran on the CPU because the GPU's memory did not suffice. Seconds are those of the calls; one
    within another counts in both. ``functions`` ran on the CPU, the one that took longest first.
    """

    share: float
    calls: int
    cpu_calls: int
    out_of_memory: int
    seconds: float
    cpu_seconds: float
    functions: tuple[SlowFunction, ...] = ()

    def __str__(self) -> str:
        return fallback_text.describe(self.share, self.names, self.out_of_memory)

    @property
    def names(self) -> list[str]:
        """The functions that are shown."""
        return [function.name for function in self.functions[:MOST]]

    def shortened(self) -> CpuFallback:
        """Return it with the functions that are shown."""
        return replace(self, functions=self.functions[:MOST])


def of_json(found: Any) -> CpuFallback | None:
    """Return what a report or the kernel's file has as an object, None for what is not one."""
    try:
        calls, cpu_calls = count(found["calls"]), count(found["cpu_calls"])
        if cpu_calls > calls:
            return None
        return CpuFallback(
            share=round(cpu_calls / calls, 6),
            calls=calls,
            cpu_calls=cpu_calls,
            out_of_memory=count(found["out_of_memory"]),
            seconds=_seconds(found["seconds"]),
            cpu_seconds=_seconds(found["cpu_seconds"]),
            functions=tuple(
                SlowFunction(
                    name=text(each["name"]),
                    calls=count(each["calls"]),
                    seconds=_seconds(each["seconds"]),
                    why=text(each["why"]),
                )
                for each in found["functions"]
            ),
        )
    except (ArithmeticError, KeyError, TypeError):
        return None


def count(value: Any) -> int:
    """Return a number of calls. Raises :class:`TypeError` for what is not one."""
    if type(value) is not int or not 0 <= value < _LARGEST:
        raise TypeError(value)
    return value


def text(value: Any) -> str:
    """Return a text as one short line. Raises :class:`TypeError` for another type."""
    if not isinstance(value, str):
        raise TypeError(value)
    return " ".join(plain(value).split())[:_MOST_TEXT]


def _seconds(value: Any) -> float:
    if type(value) not in {int, float} or not 0 <= value < _LARGEST:
        raise TypeError(value)
    return float(value)


def total(parts: Iterable[CpuFallback]) -> CpuFallback | None:
    """Return the sum of what several cells did, None if none of them called anything."""
    parts = list(parts)
    calls, cpu_calls = sum(p.calls for p in parts), sum(p.cpu_calls for p in parts)
    if not calls:
        return None
    functions: dict[str, SlowFunction] = {}
    for each in (function for part in parts for function in part.functions):
        before = functions.get(each.name, replace(each, calls=0, seconds=0.0))
        functions[each.name] = replace(
            before,
            calls=before.calls + each.calls,
            seconds=round(before.seconds + each.seconds, 6),
            why=before.why or each.why,
        )
    return CpuFallback(
        share=round(cpu_calls / calls, 6),
        calls=calls,
        cpu_calls=cpu_calls,
        out_of_memory=sum(p.out_of_memory for p in parts),
        seconds=round(sum(p.seconds for p in parts), 6),
        cpu_seconds=round(sum(p.cpu_seconds for p in parts), 6),
        functions=tuple(sorted(functions.values(), key=lambda function: -function.seconds)),
    )


def parse_limit(text: str | None) -> float | None:
    """Return the share that ``--max-cpu-fallback`` accepts, None if it is not given.

    It is ``0.2`` or ``20%``. Raises :class:`ConfigurationError` for anything else.
    """
    if text is None:
        return None
    found = _SHARE.fullmatch(text.strip())
    share = float(found[1]) / (100 if found[2] else 1) if found else -1
    if not 0 <= share <= 1:
        raise ConfigurationError(
            f"{_FLAG} {text!r} is not a share: write a number from 0 to 1, or 20% for 0.2"
        )
    return share


def exceeded(
    limit: float | None, found: CpuFallback | None, cells: Sequence[CellRun]
) -> UserCodeError | None:
    """Return the error of a notebook that ran more on the CPU than ``limit`` accepts, else None.

    ``found`` is what all its ``cells`` did. A limit is not met where nothing was counted.
    """
    if limit is None or (found and found.share <= limit):
        return None
    if found is None:
        message = (
            "no call of cudf.pandas or cuml.accel was counted, so that it is unknown whether the "
            f"notebook meets {_FLAG}: load one of them first (%load_ext cudf.pandas), or leave the "
            "flag out"
        )
        return UserCodeError(message, reason=Reason.CPU_FALLBACK)
    slowest = max(
        (cell for cell in cells if cell.cpu_fallback),
        key=lambda cell: cell.cpu_fallback.cpu_seconds if cell.cpu_fallback else 0,
    )
    share, accepted = fallback_text.percent(found.share), f"{100 * limit:.4g} %"
    share = share if share != accepted else f"{100 * found.share:.6g} %"
    details = fallback_text.details(found.names, found.out_of_memory)
    message = (
        f"{share} of calls ran on the CPU, and {_FLAG} accepts {accepted}{details}. Most of that "
        f"time went into {slowest.name} (`{slowest.title}`)"
    )
    return UserCodeError(message, reason=Reason.CPU_FALLBACK)
