"""Read, check and write notebook files, through nbformat."""

from __future__ import annotations

import json
import logging
import re
import warnings
from typing import TYPE_CHECKING, Any

from stepkit.errors import ConfigurationError, Reason
from stepkit.formats import path_addresses
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

_LARGE = 2**20  # bytes of a file whose memory matters


def check(path: Path) -> None:
    """Refuse a path that is not a readable notebook. Raises :class:`ConfigurationError`."""
    load(path)


def check_output(output: Path, source: Path) -> None:
    """Refuse an output that cannot be written, or that is ``source``.

    Raises :class:`~stepkit.errors.StepError`.
    """
    with atomic_files.explaining("cannot use a path"):  # one that is too long, say
        if output.is_dir():
            raise ConfigurationError(f"{output} is a directory: name the notebook to write in it")
        if output.name == ".ipynb":
            raise ConfigurationError(f"{output} has no name before its extension: give it one")
        if output.exists() and output.samefile(source):
            raise ConfigurationError(f"the output {output} is the notebook: name another file")
        atomic_files.check_regular(output)
        atomic_files.check_writable(output.absolute().parent)


def metadata(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a notebook's metadata, without nbformat, which takes a while to import.

    ``document`` is what :func:`load` found in ``path``. Raises :class:`ConfigurationError`.
    """
    found = document.get("metadata", {})
    fault = _metadata_fault(found) if isinstance(found, dict) else "metadata is not a mapping"
    if fault:
        raise ConfigurationError(f"{path} is not a notebook: {fault}")
    return dict(found)


def load(path: Path) -> dict[str, Any]:
    """Return the JSON of the notebook in ``path``. Raises :class:`ConfigurationError`."""
    if remote := path_addresses.address(path):
        raise ConfigurationError(
            f"{remote} is not a file: download it first; execute-notebook alone takes addresses"
        )
    with atomic_files.explaining(f"cannot read {path}"):
        missing = not path.exists()
    if missing:
        raise ConfigurationError(
            f"there is no notebook {path}{atomic_files.near_names(path)}", reason=Reason.NOT_FOUND
        )
    if path.is_dir():
        raise ConfigurationError(
            f"{path} is a directory: name a notebook in it; execute-notebooks runs several"
        )
    content: Any = atomic_files.read(path)
    if not content or content.isspace():
        raise ConfigurationError(f"{path} is not a notebook: the file is empty")
    try:
        content = _decode(content)  # under the same name, which frees the bytes: they may be many
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not a notebook: it is not JSON: {error}") from error
    if not isinstance(document, dict) or not {"cells", "worksheets"} & document.keys():
        raise ConfigurationError(f"{path} is not a notebook: it is JSON without cells")
    if not isinstance(document.get("cells", []), list):
        raise ConfigurationError(f"{path} is not a notebook: its cells are not a list")
    for name in ("nbformat", "nbformat_minor"):
        if not isinstance(document.get(name, 0 if name == "nbformat_minor" else None), int):
            raise ConfigurationError(f"{path} is not a notebook: it does not say its {name}")
    return document


def _decode(content: bytes) -> str:
    r"""Decode JSON, with ``\u`` escapes in a large text: one emoji makes it four times as large."""
    encoding = json.detect_encoding(content)
    if encoding != "utf-8" or len(content) < _LARGE or content.isascii():
        return content.decode(encoding, "surrogatepass")

    def escape(match: re.Match[bytes]) -> bytes:
        return json.dumps(match[0].decode("utf-8", "surrogatepass"))[1:-1].encode("ascii")

    return re.sub(rb"[\x80-\xff]+", escape, content).decode("ascii")


def read(path: Path, *, any_cell: bool = False) -> Any:
    """Return the notebook in ``path``, upgraded to format 4 in memory.

    With ``any_cell``, cells may have a type that the format does not know.
    Raises :class:`ConfigurationError` when it is not a notebook.
    """
    return upgrade(load(path), path, any_cell=any_cell)


def upgrade(document: dict[str, Any], path: Path, *, any_cell: bool = False) -> Any:
    """Return what :func:`load` found in ``path`` as :func:`read` does; ``document`` is used up.

    Raises :class:`ConfigurationError` when it is not a notebook.
    """
    import nbformat

    try:  # what nbformat.reads does with a text, which it would parse and hold again
        major, minor = document["nbformat"], document.get("nbformat_minor", 0)
        if major not in nbformat.versions:
            raise nbformat.NBFormatError(f"Unsupported nbformat version {major}")
        with ignoring_missing_ids():
            nb = nbformat.versions[major].to_notebook_json(document, minor=minor)
            nb = nbformat.convert(nb, 4)
            if not isinstance(nb, nbformat.NotebookNode):  # format 3 has another class
                nb = nbformat.from_dict(nb)
            try:
                nbformat.validate(nb)
            except nbformat.ValidationError as error:
                logger.error("Notebook JSON is invalid: %s", error)  # noqa: TRY400 - it is still used
    except (
        *(ValueError, TypeError, KeyError, AttributeError, RecursionError),
        nbformat.ValidationError,
    ) as error:
        first = str(error).partition("\n")[0]
        raise ConfigurationError(
            f"{path} is not a notebook that nbformat can read: {first}"
        ) from error
    if fault := _fault(nb, any_cell=any_cell):
        raise ConfigurationError(f"{path} is not a notebook: {fault}")
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.setdefault("outputs", [])
    return nb


def first_fault(nb: Any) -> str:
    """Return how ``nb`` breaks the notebook format, or ``""``; unknown fields are allowed."""
    from nbformat.validator import iter_validate

    fault = next(iter(iter_validate(nb, relax_add_props=True)), None)
    return str(fault).partition("\n")[0] if fault else ""


def _fault(nb: Any, *, any_cell: bool) -> str:
    """Return which part that we and our tools rely on has the wrong type, or ``""``.

    A full validation would refuse notebooks that every tool runs: those with unknown fields.
    """
    if fault := _metadata_fault(nb.metadata):
        return fault
    for number, cell in enumerate(nb.cells, 1):
        tags = cell.get("metadata", {}).get("tags", [])
        kind = cell.get("cell_type")
        if kind not in {"code", "markdown", "raw"} and not (any_cell and isinstance(kind, str)):
            fault = "is neither code, markdown nor raw"
        elif not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            fault = "has tags that are not a list of words"
        elif not isinstance(cell.get("source"), str):
            fault = "has no source"
        elif not isinstance(cell.get("outputs", []), list):
            fault = "has outputs that are not a list"
        if fault:
            return f"its cell {number} {fault}"
    return ""


def _metadata_fault(metadata: dict[str, Any]) -> str:
    spec, language = metadata.get("kernelspec", {}), metadata.get("language_info", {})
    if not isinstance(spec, dict) or not isinstance(spec.get("name", ""), str):
        return "metadata.kernelspec is not a mapping with a name"
    if not isinstance(language, dict) or not isinstance(metadata.get("papermill", {}), dict):
        return "metadata.language_info or metadata.papermill is not a mapping"
    return ""


def add_ids(nb: Any) -> Any:
    """Give every cell of ``nb`` an id, as format 4.5 wants it; those without one are numbered."""
    for position, cell in enumerate(nb.cells):
        cell.setdefault("id", f"cell-{position}")
    nb.nbformat, nb.nbformat_minor = 4, max(nb.get("nbformat_minor", 0), 5)
    return nb


def write(notebook: Any, path: Path) -> None:
    """Write ``notebook`` whole or not at all. Raises :class:`~stepkit.errors.StepError`."""
    import nbformat

    with ignoring_missing_ids():
        text = nbformat.writes(notebook)
    atomic_files.write_atomically(path, text if text.endswith("\n") else text + "\n")


def ignoring_missing_ids() -> warnings.catch_warnings[None]:
    """Suppress nbformat's warning about cells without ids, as older tools write them."""
    import nbformat.warnings

    return warnings.catch_warnings(
        action="ignore", category=nbformat.warnings.MissingIDFieldWarning
    )
