"""Params of the older system as params of notebook-ci, by the table in the guide."""

import re
from pathlib import Path

GUIDE = Path(__file__).parents[1] / "docs/from-the-older-system.md"

Params = dict[str, str]


def rows() -> list[tuple[Params, Params]]:
    """The rows of the table: an example of older params, and what they become."""
    part = GUIDE.read_text(encoding="utf-8").split("## A PipelineRun\n")[1].split("\n## ")[0]
    found = re.findall(r"^\| (`.+?) \| (.+) \|$", part, flags=re.MULTILINE)
    return [(_examples(older), _examples(now)) for older, now in found if ": " in older]


def converted(older: Params) -> Params:
    """Return params for notebook-ci; each of ``older`` must be in the table."""
    table = rows()
    params: Params = {}
    left = set(older)
    for examples, now in table:
        several = sum(examples.keys() == other.keys() for other, _ in table) > 1
        if not examples.keys() <= older.keys() or (
            several and not examples.items() <= older.items()
        ):
            continue
        left -= examples.keys()
        params |= {name: _value(example, examples, older) for name, example in now.items()}
    assert not left, f"not in the table: {left}"
    return params


def _value(now: str, examples: Params, older: Params) -> str:
    """Return the value of a param whose example is ``now``: with the other values in its place."""
    held = {name: example for name, example in examples.items() if example in now}
    if held:
        for name, example in held.items():
            now = now.replace(example, older[name])
        return now
    ((name, example),) = examples.items()
    assert example.startswith(now), f"{name}: nothing leads from {example} to {now}"
    return older[name].removesuffix(example.removeprefix(now))


def _examples(cell: str) -> Params:
    return dict(re.findall(r"`([\w-]+): ([^`]+)`", cell))
