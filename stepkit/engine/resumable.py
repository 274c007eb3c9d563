"""What the run of a notebook depends on, for a later run that may reuse it."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stepkit.formats import path_addresses
from stepkit.notebook import progress_json
from stepkit.step import Resumable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NAME_FILES: Final = (b"golden", b"source-file")  # keys of a rules file


def _directories(options: Any) -> Sequence[Path]:
    """Return where it runs, and where the files lie that its rules name.

    Raises :class:`ValueError` if its output leaves the run.
    """
    if address := path_addresses.address(options.output):
        raise ValueError(f"--output {address} is not a file of the run")
    rules = options.rules
    named = rules and any(key in rules.read_bytes() for key in _NAME_FILES)
    return [options.cwd or options.notebook.parent, *([rules.parent] if named else [])]


def _beside(outputs: Mapping[str, Any]) -> Sequence[Path]:
    """Return the outputs that were cut from the notebook, its progress, and kept attempts."""
    notebook = outputs.get("notebook")
    if not isinstance(notebook, Path):
        return []
    written = (notebook, outputs.get("log"), outputs.get("page")) if outputs.get("attempts") else ()
    kept = [
        path
        for each in written
        if isinstance(each, Path)
        for path in each.parent.glob(f"{glob.escape(each.stem)}.attempt-[0-9]*")
    ]
    places = [notebook.with_suffix(".outputs"), progress_json.beside(notebook), *kept]
    return [path for place in places for path in (place, *place.glob("*"))]


NOTEBOOK: Final = Resumable(
    directories=_directories,
    keeps_changes=True,
    beside=_beside,
    # The notebook gets paths of its run as parameters.
    except_with=("inject-paths", "inject-input-path", "inject-output-path"),
)
