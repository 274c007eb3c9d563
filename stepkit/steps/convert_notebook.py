r"""Convert an executed notebook to one HTML page with its images inside.

A notebook that failed is converted like any other: the page begins with a link to the first
error. Code that --report-mode hid stays hidden. Cells have the anchors #cell-1, #cell-2 and so
on, with the numbers that messages use.

The page is self-contained: it loads nothing, and its Content-Security-Policy lets no script of
an untrusted notebook run. Formulas are MathML; widgets are shown by their text. With
--trust-scripts, plots that contain their library, such as plotly's with renderer "notebook",
are interactive; they still cannot load anything.

For example:

    stepkit convert-notebook --notebook out/analysis.ipynb --page out/analysis.html
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from stepkit.errors import ConfigurationError
from stepkit.html import images, nbconvert
from stepkit.notebook import ipynb
from stepkit.options import READS, WRITES, Also
from stepkit.step import InReport, Resumable
from stepkit.system import atomic_files, logfile

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to convert, and to where."""

    notebook: Annotated[Path, "executed notebook (.ipynb)", READS]
    page: Annotated[Path, "HTML file to write", WRITES]
    hide_input: Annotated[bool, "leave out the source of code cells", Also("--no-input")] = False
    template: Annotated[str, "nbconvert's template: lab, classic, basic or your own"] = "lab"
    trust_scripts: Annotated[
        bool, "let scripts in outputs run, for interactive plots that bring their library along"
    ] = False
    images: Annotated[
        Path | None, "directory of the images that the text names; by default the notebook's"
    ] = None
    log: Annotated[
        Path | None, "log file; by default jupyter_nbconvert.log beside the page", WRITES
    ] = None


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The page that was written."""

    in_report: ClassVar[InReport] = InReport(section="page")
    resumable: ClassVar[Resumable] = Resumable(
        directories=lambda options: [options.images or options.notebook.parent],
        suffixes=images.SUFFIXES,
    )

    page: Annotated[Path, "absolute path of the page"]
    size: Annotated[int, "size of the page in bytes"]
    log: Annotated[Path, "absolute path of the log file"]
    message: Annotated[str, "what was converted, in one sentence"] = ""


def run(options: Options) -> Outputs:
    """Check the options, then render the page and write it whole."""
    nb = ipynb.read(options.notebook, any_cell=True)
    if options.page.is_dir():
        raise ConfigurationError(f"{options.page} is a directory: name the page to write in it")
    if options.images and not options.images.is_dir():
        raise ConfigurationError(f"there is no directory of images {options.images}")
    if options.template not in nbconvert.templates():
        known = ", ".join(nbconvert.templates())
        raise ConfigurationError(f"nbconvert has no template {options.template!r}: it has {known}")
    page = options.page.absolute()
    atomic_files.check_writable(page.parent)
    log = (options.log or page.with_name("jupyter_nbconvert.log")).absolute()
    with logfile.recording(log):
        logger.info("converting %s with template %s", options.notebook, options.template)
        content = nbconvert.render(
            nb,
            name=options.notebook.stem,
            directory=options.images or options.notebook.absolute().parent,
            hide_input=options.hide_input,
            template=options.template,
            trust_scripts=options.trust_scripts,
        )
        size = nbconvert.write(page, content)
        logger.info("wrote %s: %d bytes", page, size)
    message = f"{page.name}: {size / 1e6:.1f} MB"
    return Outputs(page=page, size=size, log=log, message=message)
