"""Notebook to HTML, through nbconvert."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from stepkit.errors import Reason, UserCodeError
from stepkit.tools import notebook

if TYPE_CHECKING:
    from pathlib import Path


def to_html(path: Path, *, hide_input: bool, template: str) -> str:
    """Render the notebook in ``path`` with its images embedded.

    Code that report mode marked as hidden stays hidden; nbconvert itself ignores that mark.

    Raises :class:`~stepkit.errors.ConfigurationError` when ``path`` is no notebook, and
    :class:`UserCodeError` when nbconvert cannot render what is in it.
    """
    from jinja2 import TemplateError
    from nbconvert import HTMLExporter
    from nbconvert.utils.exceptions import ConversionException

    nb = notebook.read(path)
    _hide_marked_sources(nb)
    exporter = HTMLExporter(embed_images=True, exclude_input=hide_input, template_name=template)
    resources = {"metadata": {"name": path.stem, "path": str(path.absolute().parent)}}
    logging.getLogger("traitlets").addFilter(_is_about_the_notebook)
    try:
        with notebook.quiet():
            html, _ = exporter.from_notebook_node(nb, resources=resources)
    except (ConversionException, TemplateError, KeyError, ValueError) as error:
        raise UserCodeError(
            f"nbconvert cannot render {path}: {type(error).__name__}: {error}",
            reason=Reason.TOOL_FAILED,
        ) from error
    return str(html)


def templates() -> list[str]:
    """Return the names of the templates that nbconvert finds for HTML."""
    from pathlib import Path

    from nbconvert.exporters.templateexporter import TemplateExporter

    roots = [Path(root) for root in TemplateExporter().template_data_paths]
    return sorted({p.parent.name for root in roots for p in root.glob("*/index.html.j2")})


def _hide_marked_sources(nb: Any) -> None:
    for cell in nb.cells:
        if cell.metadata.get("jupyter", {}).get("source_hidden"):
            cell.metadata["transient"] = {"remove_source": True}  # what TagRemovePreprocessor sets


def _is_about_the_notebook(record: logging.LogRecord) -> bool:
    """Keep nbconvert's complaint off every green run: plots have no alternative text anywhere."""
    return "Alternative text is missing" not in record.getMessage()
