"""Say in words how many calls of cudf.pandas and cuml.accel ran on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def percent(share: float) -> str:
    """Spell a share from 0 to 1: only nothing is 0 %, and only all is 100 %."""
    if 0 < share < 0.01:  # noqa: PLR2004
        return "<1 %"
    if 0.99 < share < 1:  # noqa: PLR2004
        return ">99 %"
    return f"{100 * share:.0f} %"


def describe(share: float, functions: Sequence[str], out_of_memory: int) -> str:
    """Return ``61 % of calls on the CPU: DataFrame.apply, Series.map``.

    ``functions`` are those that took most time, ``out_of_memory`` counts the calls for which the
    GPU's memory did not suffice.
    """
    return f"{percent(share)} of calls on the CPU{details(functions, out_of_memory)}"


def details(functions: Sequence[str], out_of_memory: int) -> str:
    """Return the end of such a sentence, from the colon on."""
    text = f": {', '.join(functions)}" if functions else ""
    if out_of_memory:
        calls = "1 call" if out_of_memory == 1 else f"{out_of_memory} calls"
        text += f"; {calls} for want of GPU memory"
    return text
