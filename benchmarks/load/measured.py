"""Run a command of stepkit, measure it, and say what it lost or left behind."""

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from benchmarks import process
from stepkit.artifacts.manifest import is_unfinished

_LIMIT: Final = 3600.0  # seconds for one command


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A command at one size: seconds, and bytes of stepkit's own processes, without kernels.

    ``problems`` say what it lost, left behind or judged wrongly.
    """

    what: str
    size: int
    seconds: float
    cpu: float
    memory: int
    problems: tuple[str, ...] = ()

    def having(self, problems: Iterable[str]) -> Self:
        """Return the same with further problems."""
        return replace(self, problems=(*self.problems, *problems))


def stepkit(
    step: str, size: int, *args: str | Path, scratch: Path, what: str = "", code: int = 0
) -> Measured:
    """Run a command of stepkit, which must end with ``code``; ``what`` is its name in the table."""
    command = [*process.STEPKIT, step, *map(str, args)]
    environment = process.environment(scratch / "home")
    done = process.run(command, env=environment, cwd=scratch, limit=_LIMIT)
    wrong = () if done.code == code else (f"ended with {done.code}, not {code}: {done.problem}",)
    return Measured(
        what=what or step,
        size=size,
        seconds=done.usage.wall,
        cpu=done.usage.runner_cpu,
        memory=done.usage.runner_memory,
        problems=wrong,
    )


def left_behind(directory: Path) -> Iterator[str]:
    """Name files below ``directory`` that are unfinished, or locked although nothing runs."""
    held = Path("/proc/locks").read_text().splitlines()
    locked = {line.split()[5].split(":")[2] for line in held}
    for root, names, files in os.walk(directory):
        for path in (Path(root, name) for name in (*names, *files)):
            if is_unfinished(path.name) or path.suffix == ".part":
                yield f"left {path.relative_to(directory)}"
            elif str(path.lstat().st_ino) in locked:
                yield f"{path.relative_to(directory)} is still locked"


def exponent(figures: Mapping[int, float]) -> float | None:
    """Return e where a figure grows as size**e between the least and the largest size."""
    (small, low), (large, high) = min(figures.items()), max(figures.items())
    if large == small or min(low, high) <= 0:
        return None
    return math.log(high / low) / math.log(large / small)
