r"""Convert an executed notebook to one HTML page with its images inside.

A notebook that failed half way converts like any other: the page shows what it left, up to
the error. Code that --report-mode hid stays hidden. Formulas and widgets on the page load
MathJax and require.js from a CDN.

For example:

    stepkit convert-notebook --notebook out/analysis.ipynb --page out/analysis.html
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from stepkit.errors import ConfigurationError
from stepkit.options import READS, WRITES, Also
from stepkit.tools import files, logfile, nbconvert, notebook

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to convert, and to where."""

    notebook: Annotated[Path, "executed notebook (.ipynb)", READS]
    page: Annotated[Path, "HTML file to write", WRITES]
    hide_input: Annotated[bool, "leave out the source of code cells", Also("--no-input")] = False
    template: Annotated[str, "nbconvert's template: lab, classic, basic or your own"] = "lab"
    log: Annotated[
        Path | None, "log file; by default jupyter_nbconvert.log beside the page", WRITES
    ] = None


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The page that was written."""

    page: Annotated[Path, "absolute path of the page"]
    size: Annotated[int, "size of the page in bytes"]
    log: Annotated[Path, "absolute path of the log file"]
    message: Annotated[str, "what was converted, in one sentence"] = ""


def run(options: Options) -> Outputs:
    """Render the page, then write it whole."""
    notebook.check(options.notebook)
    if options.page.is_dir():
        raise ConfigurationError(f"{options.page} is a directory: name the page to write in it")
    if options.template not in nbconvert.templates():
        known = ", ".join(nbconvert.templates())
        raise ConfigurationError(f"nbconvert has no template {options.template!r}: it has {known}")
    page = options.page.absolute()
    files.check_writable(page.parent)
    log = (options.log or page.with_name("jupyter_nbconvert.log")).absolute()
    with logfile.recording(log):
        logger.info("converting %s with template %s", options.notebook, options.template)
        html = nbconvert.to_html(
            options.notebook, hide_input=options.hide_input, template=options.template
        )
        files.write_atomically(page, html)
        size = page.stat().st_size
        logger.info("wrote %s: %d bytes", page, size)
    message = f"{page.name}: {size / 1e6:.1f} MB"
    return Outputs(page=page, size=size, log=log, message=message)
