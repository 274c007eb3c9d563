"""Compare the outputs of one cell with the golden ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, get_args

from stepkit.golden import image_difference, normalise, table_difference, text_difference
from stepkit.golden.finding import Finding, Tally
from stepkit.golden.limits import Normaliser
from stepkit.golden.output_parts import Part

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepkit.golden.limits import Limits

_COMPARE: Final = {
    "stream": text_difference.compare,
    "text": text_difference.compare,
    "html": table_difference.compare,
    "image": image_difference.compare,
}


def compare(
    golden: Sequence[Part], new: Sequence[Part], limits: Limits, tally: Tally
) -> Iterator[tuple[str, Finding]]:
    """Yield the name of each output that differs, and how; what follows a gap is not compared."""
    printed = [{p.name: p for p in parts if p.kind == "stream"} for parts in (golden, new)]
    pairs = [
        tuple(each.get(name, Part("stream", name, "")) for each in printed)
        for name in dict.fromkeys(key for each in printed for key in each)
    ]
    before, after = ([p for p in parts if p.kind != "stream"] for parts in (golden, new))
    for was, now in (*pairs, *zip(before, after, strict=False)):
        if was.name != now.name:
            yield "output", Finding(message=f"{now.name}, and not {was.name}")
            return
        if found := _COMPARE[was.kind](was.value, now.value, limits, tally):
            yield was.name, _with_hint(found, was, now, limits)
    if len(before) != len(after):
        outputs = "output" if len(after) == 1 else "outputs"
        names = [", ".join(part.name for part in parts) for parts in (before, after)]
        message = f"{len(after)} {outputs}, and not {len(before)}"
        yield "outputs", Finding(message=message, golden=names[0], new=names[1])


def _with_hint(found: Finding, was: Part, now: Part, limits: Limits) -> Finding:
    """Name the normaliser with which the output would be the same, if there is one."""
    if was.kind == "image":
        return found
    for name in get_args(Normaliser):
        before, after = (normalise.text(part.value, (name,)) for part in (was, now))
        changed = (before, after) != (was.value, now.value)
        if changed and not _COMPARE[was.kind](before, after, limits, Tally()):
            return replace(found, message=f"{found.message}; normalise: [{name}] accepts this")
    return found
