"""Does a reader of the output ever see half of it? Run alone: ``python -m benchmarks.readers``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import notebooks, runners
from benchmarks.poller import Poller
from benchmarks.runners import Files
from benchmarks.targets import Proof

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.runners import Runner

NAME: Final = "torn-reads"
_NAMES: Final = ("papermill", "stepkit")


def prove(
    *,
    count: int = 60,
    size: int = notebooks.MB // 2,
    seconds: float = 0.25,
    say: Callable[[str], None],
) -> list[Proof]:
    """Read while papermill and stepkit execute ``count`` cells that print ``size`` characters.

    ``seconds`` is how long each cell takes: the run is longer than stepkit's checkpoint interval.
    """
    proofs = []
    with tempfile.TemporaryDirectory(prefix="stepkit-readers-") as name:
        scratch = Path(name)
        notebooks.paced(scratch / "in.ipynb", count, size, seconds)
        for runner in runners.EXECUTE:
            if runner.name in _NAMES:
                proofs.append(_read_while(runner, scratch))
                say(f"{NAME} {runner.name}: {proofs[-1].text}")
    return proofs


def _read_while(runner: Runner, scratch: Path) -> Proof:
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        output = Path(name, "out.ipynb")
        files = Files(notebook=scratch / "in.ipynb", output=output, page=output)
        poller = Poller(output).start()
        (command,) = runner.commands(files)
        subprocess.run(
            command, check=True, cwd=name, env=runners.environment(scratch), capture_output=True
        )
        poller.stop()
    ours = runner.name == "stepkit"
    return Proof(
        name=NAME,
        runner=runner.name,
        text=f"{poller.torn_reads} of {poller.reads} reads, {poller.torn} of "
        f"{poller.contents} contents were torn{poller.older and f'; older: {poller.older}'}",
        wanted="none",
        ok=not poller.torn and not poller.older and poller.contents > 1 if ours else None,
        numbers={"reads": poller.reads, "torn": poller.torn_reads, "contents": poller.contents},
    )


if __name__ == "__main__":
    found = prove(say=print)
    sys.exit(any(proof.ok is False for proof in found))
