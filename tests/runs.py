"""Execute notebooks by the engine in the tests' own process."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from samples import write_notebook

from stepkit.engine import run_cells as engine
from stepkit.engine.run_cells import Outcome, Request
from stepkit.notebook import ipynb

OUTPUT = "out/executed.ipynb"


def execute(
    directory: Path,
    *sources: str,
    tags: Mapping[int, list[str]] | None = None,
    kernel: str = "python3",
    env: Mapping[str, str] | None = None,
    **request: Any,
) -> Outcome:
    """Execute code cells in ``directory``, and check that the notebook was written as returned.

    ``env`` is added to the kernel's environment.
    """
    source = write_notebook(directory / "a.ipynb", *sources, tags=tags)
    output = directory / OUTPUT
    output.parent.mkdir(exist_ok=True)
    with engine.start_kernel(kernel, directory, env) as started:
        ready = engine.prepare_notebook(
            ipynb.read(source),
            {},
            source=source,
            output=output,
            kernel=kernel,
            language="python",
            report_mode=False,
        )
        asked = {"heartbeat": 0, **request}
        outcome = engine.execute(Request(notebook=ready, output=output, **asked), started)
    assert output.read_bytes() == as_stored(outcome.notebook)
    nbformat.validate(nbformat.read(output, as_version=4))
    return outcome


def as_stored(nb: Any) -> bytes:
    """Return the bytes of the file that nbformat would write."""
    text: str = nbformat.v4.writes(nb) + "\n"
    return text.encode("utf-8", "surrogatepass")


def text_of(cell: Any) -> str:
    """Return what a cell printed."""
    return "".join(output.get("text", "") for output in cell.outputs)


def statuses(outcome: Outcome) -> list[str]:
    """Return the verdict on each code cell."""
    return [cell.status for cell in outcome.execution.cells]
