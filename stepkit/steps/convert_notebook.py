r"""Convert an executed notebook to one HTML page with its images inside.

A notebook that failed is converted like any other: the page begins with a link to the first
error. Code that --report-mode hid stays hidden. Cells have the anchors #cell-1, #cell-2 and so
on, with the numbers that messages use.

The page is self-contained: it loads nothing, and its Content-Security-Policy lets no script of
an untrusted notebook run. Formulas are MathML; widgets are shown by their text. With
--trust-scripts, plots that contain their library, such as plotly's with renderer "notebook",
are interactive; they still cannot load anything.

For example:

    stepkit convert-notebook out/analysis.ipynb --page out/analysis.html
    stepkit convert-notebook out/analysis.ipynb --to html --output-dir site
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from stepkit.errors import ConfigurationError
from stepkit.html import images, nbconvert
from stepkit.notebook import ipynb
from stepkit.options import OR_ARGUMENT, READS, WRITES, Also, Metavar
from stepkit.step import InReport, Resumable
from stepkit.system import atomic_files, logfile

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to convert, and to where."""

    notebook: Annotated[Path, "executed notebook (.ipynb)", READS, OR_ARGUMENT]
    page: Annotated[Path | None, "HTML file to write; by default beside the notebook", WRITES] = (
        None
    )
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
    to: Annotated[str, "nbconvert's format: html alone", Metavar("FORMAT")] = "html"
    output: Annotated[
        str, "nbconvert's name of the page: with or without .html, in the directory of --output-dir"
    ] = ""
    output_dir: Annotated[Path | None, "its directory; by default the notebook's"] = None

    def __post_init__(self) -> None:
        """Name the page, if --page does not."""
        if self.page is None:
            object.__setattr__(self, "page", self.page_as_nbconvert())

    def page_as_nbconvert(self) -> Path:
        """Return where nbconvert would write the page."""
        name = self.output.replace("{notebook_name}", self.notebook.stem) or self.notebook.stem
        return (self.output_dir or self.notebook.parent) / f"{name.removesuffix('.html')}.html"


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
    page = _page(options)
    nb = ipynb.read(options.notebook, any_cell=True)
    if page.is_dir():
        raise ConfigurationError(f"{page} is a directory: name the page to write in it")
    if options.images and not options.images.is_dir():
        raise ConfigurationError(f"there is no directory of images {options.images}")
    if options.template not in nbconvert.templates():
        known = ", ".join(nbconvert.templates())
        raise ConfigurationError(f"nbconvert has no template {options.template!r}: it has {known}")
    page = page.absolute()
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


def _page(options: Options) -> Path:
    """Return the page to write. Raises :class:`ConfigurationError` for another format, or two."""
    if options.to.lower() != "html":
        way = "execute-notebook writes notebooks, and " if options.to == "notebook" else ""
        raise ConfigurationError(
            f"--to {options.to!a}: convert-notebook makes HTML alone; {way}jupyter nbconvert "
            "makes other formats"
        )
    named = options.page_as_nbconvert()
    page = options.page or named
    if (options.output or options.output_dir) and page != named:
        raise ConfigurationError(
            f"--page {page} and --output or --output-dir, which name {named}: choose one"
        )
    return page
