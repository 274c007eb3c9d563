"""Render a notebook as an HTML page with nbconvert, and write the page."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from stepkit import redaction
from stepkit.errors import MOST_TRACEBACK, Evidence, Reason, StepError, UserCodeError
from stepkit.notebook import ipynb
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = logging.getLogger(__name__)

_LOADING: Final = threading.Lock()


def preload(template: str = "lab") -> None:
    """Import nbconvert and compile the template, to be called while something else runs.

    An error is only logged: it occurs again when a page is made.
    """
    import nbformat

    with _LOADING:
        nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1  # warm")])
        try:
            for _ in render(nb, name="preload", directory=None, template=template):
                pass
        except (StepError, ImportError) as error:
            logger.info("cannot prepare for the page: %s", error)


@contextmanager
def preloading() -> Iterator[None]:
    """Call :func:`preload` while the block runs, and wait for it at the end."""
    thread = threading.Thread(target=preload, name="preload", daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def render(
    nb: Any,
    *,
    name: str,
    directory: Path | None,
    hide_input: bool = False,
    template: str = "lab",
    trust_scripts: bool = False,
) -> Iterator[str]:
    """Yield the page of ``nb`` cell by cell; ``nb`` is not changed.

    ``name`` is the page's title if the notebook has no heading. Images that the notebook's text
    refers to are read below ``directory`` only. Code that report mode marked as hidden stays
    hidden. Without ``trust_scripts`` the page runs and loads nothing. Known secrets are masked.

    Raises :class:`UserCodeError` when nbconvert cannot render the notebook.
    """
    from jinja2 import TemplateError
    from nbconvert.utils.exceptions import ConversionException

    from stepkit.html import page_head, prepare_notebook
    from stepkit.html.exporter import PageExporter
    from stepkit.html.images import Images

    known = (ConversionException, TemplateError, LookupError, ValueError)
    exporter: PageExporter | None = None
    try:
        page = prepare_notebook.prepare(nb, name=name)
        exporter = PageExporter(
            template=template,
            hide_input=hide_input,
            images=Images(directory),
            trusted=trust_scripts,
        )
        rendered = exporter.render(page.notebook, name=name, top=page.top, trusted=trust_scripts)
        pieces = page_head.add_head(rendered, trusted=trust_scripts, dark=template == "lab")
        yield from map(redaction.mask, pieces)
    except (*known, AttributeError, TypeError) as error:
        fault = ipynb.first_fault(nb)
        if not fault and not isinstance(error, known):
            raise  # a bug of stepkit
        if fault:
            message = f"nbconvert cannot render {name}: the notebook is not valid: {fault}"
            raise UserCodeError(message, reason=Reason.TOOL_FAILED) from error
        raise _explain(error, name, exporter.rendering if exporter else None) from error


def _explain(error: Exception, name: str, cell: Any) -> UserCodeError:
    """Return the error for an exception of nbconvert, with the cell that it came from."""
    import traceback

    from stepkit.html.prepare_notebook import KEY

    number = cell[KEY]["number"] if cell else 0
    where = f"cell {number}" if number else "a cell without a number" if cell else ""
    why = f"{type(error).__name__}: {error}"
    lines = "".join(traceback.format_exception(error)).rstrip().split("\n")
    evidence = Evidence(
        ename=type(error).__name__,
        evalue=str(error),
        source=cell["source"] if cell else "",
        traceback="\n".join(lines[-MOST_TRACEBACK:]),
        left_out=max(0, len(lines) - MOST_TRACEBACK),
    )
    at = f" in {where}" if where else ""
    message = f"nbconvert cannot render {name}{at}: {why}"
    for line in evidence.traceback.split("\n"):
        logger.info("%s", line)
    return UserCodeError(message, reason=Reason.TOOL_FAILED, evidence=evidence)


def try_to_write(nb: Any, page: Path, directory: Path) -> StepError | None:
    """Write the page of ``nb``; a :class:`StepError` is logged and returned, not raised."""
    try:
        write(page, render(nb, name=page.stem, directory=directory))
    except StepError as error:
        logger.error("page: %s", error)  # noqa: TRY400 - not a bug, so no traceback
        return error
    return None


def write(path: Path, content: Iterator[str]) -> int:
    """Write a page whole or not at all, piece by piece. Returns its size in bytes."""
    atomic_files.write_atomically(path, content)
    return path.stat().st_size


def templates() -> list[str]:
    """Return the names of the templates that nbconvert finds for HTML."""
    from pathlib import Path

    from jupyter_core.paths import jupyter_path

    roots = [Path(root) for root in jupyter_path("nbconvert", "templates")]
    return sorted({p.parent.name for root in roots for p in root.glob("*/index.html.j2")})
