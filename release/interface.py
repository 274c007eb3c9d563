"""What users rely on by name: `release/interface.txt` lists it as it was released, one a line.

`release.prepare` adds what is new. What was released stays, so a line goes only when
docs/api-stability.md allows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import yaml

import stepkit
from stepkit.cli.commands import COMMANDS
from stepkit.errors import Reason
from stepkit.options import declared
from stepkit.step import kebab
from stepkit.tekton import shipped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE: Final = "release/interface.txt"


def lost(root: Path) -> list[str]:
    """Return what was released and is not there any more."""
    released = (root / FILE).read_text(encoding="utf-8").splitlines()
    return sorted(set(released) - set(_names()))


def record(root: Path) -> None:
    """Add what is new to the file."""
    path = root / FILE
    names = {*path.read_text(encoding="utf-8").splitlines(), *_names()}
    path.write_text("".join(f"{name}\n" for name in sorted(names)), encoding="utf-8")


def _names() -> Iterator[str]:
    yield from (f"python stepkit.{name}" for name in stepkit.__all__)
    yield from (f"reason {reason}" for reason in Reason)
    for name, step in COMMANDS.items():
        for option in declared(step.Options):
            shown = option.secret.variable if option.secret else option.shown
            yield f"command {name} {shown}"
        yield from (f"output {name} {kebab(each.field.name)}" for each in declared(step.Outputs))
    for path in (*shipped.tasks().values(), *shipped.pipelines().values()):
        document = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
        for kind in ("params", "results", "workspaces"):
            for each in document["spec"].get(kind, ()):
                yield f"{document['kind']} {path.stem} {kind} {each['name']}"
