"""Notebook files, through nbformat."""

from __future__ import annotations

import json
import logging
import re
import warnings
from typing import TYPE_CHECKING, Any

from stepkit.errors import ConfigurationError, Reason
from stepkit.formats.shorten import shorten
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

_LARGE = 2**20  # bytes of a file whose memory matters
FIRST_LINE_LENGTH = 80  # characters of a cell's first line that messages show


def check(path: Path) -> None:
    """Refuse a path that is no readable notebook. Raises :class:`ConfigurationError`."""
    load(path)


def check_output(output: Path, source: Path) -> None:
    """Refuse an output that cannot be written, or that is ``source``.

    Raises :class:`~stepkit.errors.StepError`.
    """
    with atomic_files.explaining("cannot use a path"):  # one that is too long, say
        if output.is_dir():
            raise ConfigurationError(f"{output} is a directory: name the notebook to write in it")
        if output.exists() and output.samefile(source):
            raise ConfigurationError(f"the output {output} is the notebook: name another file")
        atomic_files.check_regular(output)
        atomic_files.check_writable(output.absolute().parent)


def metadata(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a notebook's own metadata, without nbformat, which takes a while to import.

    ``document`` is what :func:`load` found in ``path``. Raises :class:`ConfigurationError`.
    """
    found = document.get("metadata", {})
    wrong = _wrong_metadata(found) if isinstance(found, dict) else "metadata is no mapping"
    if wrong:
        raise ConfigurationError(f"{path} is not a notebook: {wrong}")
    return dict(found)


def load(path: Path) -> dict[str, Any]:
    """Return the JSON of the notebook in ``path``. Raises :class:`ConfigurationError`."""
    with atomic_files.explaining(f"cannot read {path}"):
        missing = not path.exists()
    if missing:
        raise ConfigurationError(
            f"there is no notebook {path}{atomic_files.near_names(path)}", reason=Reason.NOT_FOUND
        )
    content: Any = atomic_files.read(path)
    if not content or content.isspace():
        raise ConfigurationError(f"{path} is not a notebook: the file is empty")
    try:
        content = _text(content)  # the bytes are not held beside it: they may be many
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not a notebook: it is not JSON: {error}") from error
    if not isinstance(document, dict) or not {"cells", "worksheets"} & document.keys():
        raise ConfigurationError(f"{path} is not a notebook: it is JSON without cells")
    if not isinstance(document.get("cells", []), list):
        raise ConfigurationError(f"{path} is not a notebook: its cells are no list")
    for name in ("nbformat", "nbformat_minor"):
        if not isinstance(document.get(name, 0 if name == "nbformat_minor" else None), int):
            raise ConfigurationError(f"{path} is not a notebook: it does not say its {name}")
    return document


def _text(content: bytes) -> str:
    """Decode JSON. One emoji makes Python hold all of a text in four bytes a character."""
    encoding = json.detect_encoding(content)
    if encoding != "utf-8" or len(content) < _LARGE or content.isascii():
        return content.decode(encoding, "surrogatepass")
    return re.sub(rb"[\x80-\xff]+", _escaped, content).decode("ascii")


def _escaped(match: re.Match[bytes]) -> bytes:
    return json.dumps(match[0].decode("utf-8", "surrogatepass"))[1:-1].encode("ascii")


def read(path: Path) -> Any:
    """Return the notebook in ``path``, upgraded to format 4 in memory.

    Raises :class:`ConfigurationError` when it is none.
    """
    return upgraded(load(path), path)


def upgraded(document: dict[str, Any], path: Path) -> Any:
    """Return what :func:`load` found in ``path`` as :func:`read` does; ``document`` is used up.

    Raises :class:`ConfigurationError` when it is no notebook.
    """
    import nbformat

    try:
        with quiet():
            nb = _upgraded(document)
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


def _upgraded(document: dict[str, Any]) -> Any:
    """Do what nbformat.reads does with the text, which would parse and hold all of it again."""
    import nbformat

    major = document["nbformat"]
    if major not in nbformat.versions:
        raise nbformat.NBFormatError(f"Unsupported nbformat version {major}")
    minor = document.get("nbformat_minor", 0)
    nb = nbformat.convert(nbformat.versions[major].to_notebook_json(document, minor=minor), 4)
    if not isinstance(nb, nbformat.NotebookNode):  # format 3 has a class of its own
        nb = nbformat.from_dict(nb)
    try:
        nbformat.validate(nb)
    except nbformat.ValidationError as error:
        logger.error("Notebook JSON is invalid: %s", error)  # noqa: TRY400 - it is read all the same
    return nb


def first_fault(nb: Any) -> str:
    """Say in what ``nb`` breaks the notebook format, fields of somebody's own aside; or ``""``."""
    from nbformat.validator import iter_validate

    fault = next(iter(iter_validate(nb, relax_add_props=True)), None)
    return str(fault).partition("\n")[0] if fault else ""


def _wrong_shape(nb: Any) -> str:
    """Say which part that we and our tools rely on has another type.

    A full validation would refuse notebooks that every tool runs: those with fields of somebody's
    own.
    """
    if wrong := _wrong_metadata(nb.metadata):
        return wrong
    for number, cell in enumerate(nb.cells, 1):
        if wrong := _wrong_cell(cell):
            return f"its cell {number} {wrong}"
    return ""


def _wrong_metadata(told: dict[str, Any]) -> str:
    spec, language = told.get("kernelspec", {}), told.get("language_info", {})
    if not isinstance(spec, dict) or not isinstance(spec.get("name", ""), str):
        return "metadata.kernelspec is no mapping with a name"
    if not isinstance(language, dict) or not isinstance(told.get("papermill", {}), dict):
        return "metadata.language_info or metadata.papermill is no mapping"
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


def with_ids(nb: Any) -> Any:
    """Give every cell of ``nb`` an id, as format 4.5 wants it; those without one are numbered."""
    for position, cell in enumerate(nb.cells):
        cell.setdefault("id", f"cell-{position}")
    nb.nbformat, nb.nbformat_minor = 4, max(nb.nbformat_minor, 5)
    return nb


def write(notebook: Any, path: Path) -> None:
    """Write ``notebook`` whole or not at all. Raises :class:`~stepkit.errors.StepError`."""
    import nbformat

    with quiet():
        text = nbformat.writes(notebook)
    atomic_files.write_atomically(path, text if text.endswith("\n") else text + "\n")


def first_line(source: str) -> str:
    """Return the line by which a person recognises a cell: its first that is code."""
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    code = [line for line in lines if not line.startswith("#")] or lines or [""]
    return shorten(re.sub(r"\s+", " ", code[0]), FIRST_LINE_LENGTH)


def quiet() -> warnings.catch_warnings[None]:
    """Ignore what nbformat says of notebooks that older tools wrote: we repair nothing there."""
    import nbformat.warnings

    return warnings.catch_warnings(
        action="ignore", category=nbformat.warnings.MissingIDFieldWarning
    )
