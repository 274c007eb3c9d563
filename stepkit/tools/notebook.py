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
    with files.explaining(f"cannot read {path}"):
        missing = not path.exists()
    if missing:
        raise ConfigurationError(
            f"there is no notebook {path}{files.near_names(path)}", reason=Reason.NOT_FOUND
        )
    content = files.read(path)
    if not content.strip():
        raise ConfigurationError(f"{path} is not a notebook: the file is empty")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not a notebook: it is not JSON: {error}") from error
    if not isinstance(document, dict) or not {"cells", "worksheets"} & document.keys():
        raise ConfigurationError(f"{path} is not a notebook: it is JSON without cells")
    for name in ("nbformat", "nbformat_minor"):
        if not isinstance(document.get(name, 0 if name == "nbformat_minor" else None), int):
            raise ConfigurationError(f"{path} is not a notebook: it does not say its {name}")


def read(path: Path) -> Any:
    """Return the notebook in ``path``, upgraded to format 4 in memory.

    Raises :class:`ConfigurationError` when it is none.
    """
    import nbformat

    check(path)
    try:
        with quiet():
            nb = nbformat.read(str(path), as_version=4)
    except (ValueError, TypeError, KeyError, AttributeError, nbformat.ValidationError) as error:
        first = str(error).partition("\n")[0]
        raise ConfigurationError(
            f"{path} is not a notebook that nbformat can read: {first}"
        ) from error
    if wrong := _wrong_shape(nb):
        raise ConfigurationError(f"{path} is not a notebook: {wrong}")
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.setdefault("outputs", [])
    return nb


def _wrong_shape(nb: Any) -> str:
    """Say which part that we and our tools rely on has another type.

    A full validation would refuse notebooks that every tool runs: those with fields of somebody's
    own.
    """
    spec, language = nb.metadata.get("kernelspec", {}), nb.metadata.get("language_info", {})
    if not isinstance(spec, dict) or not isinstance(spec.get("name", ""), str):
        return "metadata.kernelspec is no mapping with a name"
    if not isinstance(language, dict) or not isinstance(nb.metadata.get("papermill", {}), dict):
        return "metadata.language_info or metadata.papermill is no mapping"
    for number, cell in enumerate(nb.cells, 1):
        if wrong := _wrong_cell(cell):
            return f"its cell {number} {wrong}"
    return ""


def _wrong_cell(cell: Any) -> str:
    tags = cell.get("metadata", {}).get("tags", [])
    if cell.get("cell_type") not in {"code", "markdown", "raw"}:
        return "is neither code, markdown nor raw"
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        return "has tags that are no list of words"
    if not isinstance(cell.get("source"), str):
        return "has no source"
    return "" if isinstance(cell.get("outputs", []), list) else "has outputs that are no list"


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
