"""Run a piece of code under the guard as a notebook is run: lower on the ladder each time."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from guarded import Done, guarded

from stepkit.errors import UserCodeError
from stepkit.gpu.health import remedies
from stepkit.gpu.memory import guard_request
from stepkit.gpu.step_options import GpuOptions
from stepkit.notebook.attempts import Attempt, Rung
from stepkit.notebook.verdict import CellRun
from stepkit.step import Status

_SIZES = ("mode", "initial", "maximum", "release_threshold", "overflow")


@dataclass(frozen=True, kw_only=True)
class Outputs:
    notebook: Path
    cells: tuple[CellRun, ...] = ()
    status: Status = "succeeded"
    message: str = "9 of 9 cells ran"
    guard: Mapping[str, Any] | None = None
    attempts: tuple[Attempt, ...] = ()


def caught(code: str) -> str:
    """Return code that prints the class and text of the error that ends ``code``."""
    indented = "".join(f"    {line}\n" for line in code.splitlines())
    return (
        f"import json\ntry:\n{indented}except Exception as error:\n"
        "    print(json.dumps([type(error).__name__, str(error)]))\n"
    )


def last(done: Done) -> Any:
    """Return the JSON that a process printed at its end."""
    assert done.code == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def attempting(
    directory: Path, options: GpuOptions, code: str, served: list[str], **how: Any
) -> Callable[[Rung, Sequence[Attempt]], Outputs]:
    """Return an attempt that runs ``code`` under the guard, and fails as a notebook would.

    Each attempt appends the allocator that served to ``served``.
    """

    def attempt(rung: Rung, _: Sequence[Attempt]) -> Outputs:
        asked = guard_request.settings(replace(options, **rung.changes), directory / "guard.jsonl")
        asked.report.unlink(missing_ok=True)
        done = guarded(directory, code, **{n: getattr(asked, n) for n in _SIZES}, **how)
        served.append(done.log.allocator)
        found = last(done)
        if isinstance(found, list):
            cause = remedies.find(*found)
            error = UserCodeError(": ".join(found), reason=cause.reason if cause else None)
            raise error.leaving(Outputs(notebook=directory / "out.ipynb", guard=asdict(done.log)))
        return Outputs(notebook=directory / "out.ipynb", message=f"sum {found}")

    return attempt
