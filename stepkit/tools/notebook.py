"""Notebook files, through nbformat."""

from __future__ import annotations

import json
import re
import warnings
from typing import TYPE_CHECKING, Any

from stepkit.errors import ConfigurationError, Reason
from stepkit.tools import files

if TYPE_CHECKING:
    from pathlib import Path

FIRST_LINE_LENGTH = 80  # characters of a cell's first line that messages show


def check(path: Path) -> None:
    """Refuse a path that is no readable notebook. Raises :class:`ConfigurationError`."""
    if not path.exists():
        raise ConfigurationError(
            f"there is no notebook {path}{files.near_names(path)}", reason=Reason.NOT_FOUND
        )
    content = files.read(path)
    if not content.strip():
        raise ConfigurationError(f"{path} is not a notebook: the file is empty")
    try:
        document = json.loads(content)
    except ValueError as error:
        raise ConfigurationError(f"{path} is not a notebook: it is not JSON: {error}") from error
    if not isinstance(document, dict) or not {"cells", "worksheets"} & document.keys():
        raise ConfigurationError(f"{path} is not a notebook: it is JSON without cells")
    if not isinstance(document.get("nbformat"), int):
        raise ConfigurationError(f"{path} is not a notebook: it does not say its nbformat")


def read(path: Path) -> Any:
    """Return the notebook in ``path``, upgraded to format 4 in memory.

    Raises :class:`ConfigurationError` when it is none.
    """
    import nbformat

    check(path)
    try:
        with quiet():
            return nbformat.read(str(path), as_version=4)
    except (ValueError, TypeError, KeyError, AttributeError, nbformat.ValidationError) as error:
        first = str(error).partition("\n")[0]
        raise ConfigurationError(
            f"{path} is not a notebook that nbformat can read: {first}"
        ) from error


def write(notebook: Any, path: Path) -> None:
    """Write ``notebook`` whole or not at all. Raises :class:`~stepkit.errors.StepError`."""
    import nbformat

    with quiet():
        text = nbformat.writes(notebook)
    files.write_atomically(path, text if text.endswith("\n") else text + "\n")


def first_line(source: str) -> str:
    """Return the line by which a person recognises a cell: its first that is code."""
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    code = [line for line in lines if not line.startswith("#")] or lines or [""]
    line = re.sub(r"\s+", " ", code[0])
    return line if len(line) <= FIRST_LINE_LENGTH else line[: FIRST_LINE_LENGTH - 3] + "..."


def quiet() -> warnings.catch_warnings[None]:
    """Ignore what nbformat says of notebooks that older tools wrote: we repair nothing there."""
    import nbformat.warnings

    return warnings.catch_warnings(
        action="ignore", category=nbformat.warnings.MissingIDFieldWarning
    )
