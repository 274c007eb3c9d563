"""nbconvert's HTML exporter; it yields a page in pieces instead of parsing the finished page."""

from __future__ import annotations

import html
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jinja2 import BytecodeCache, FileSystemLoader, pass_context
from nbconvert.exporters.html import HTMLExporter
from nbconvert.filters.strings import clean_html
from nbconvert.utils.iso639_1 import iso639_1

from stepkit.formats import ansi_html
from stepkit.html.formulas import Formulas
from stepkit.html.highlight import Highlighted, Highlighter
from stepkit.html.markdown import Markdown
from stepkit.html.outputs import KEY
from stepkit.html.own_colours import has_own_colours
from stepkit.html.prepare_notebook import prepare_outputs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jinja2.bccache import Bucket
    from jinja2.runtime import Context

    from stepkit.html.images import Images

_TEMPLATES: Final = Path(__file__).with_name("templates")
_WITH_FORMULAS: Final = ("text/html", "text/markdown", "text/latex")
_REFERENCE: Final = re.compile(r"\\(?:eq)?ref\b")
# What changes the number of an equation, or how it is read.
_SETS: Final = re.compile(r"\\(?:begin|tag|label|(?:re|provide)?newcommand|g?def|let)\b")
_MAX_OPENING: Final = 4096  # characters in which a template opens an output


class PageExporter(HTMLExporter):
    """Renders a prepared notebook, piece by piece.

    Our template extends the chosen one. Whatever that would load from a server is replaced by
    empty templates with the same names.
    """

    def __init__(self, *, template: str, hide_input: bool, images: Images, trusted: bool) -> None:
        construct: Any = super().__init__  # traitlets has no types
        construct(
            template_name=template,
            template_file="stepkit_page.html.j2",
            extra_loaders=[FileSystemLoader(_TEMPLATES)],
            extra_template_basedirs=[],  # not the working directory, which may be untrusted
            exclude_input=hide_input,
        )
        self._trusted = trusted
        self._formulas = Formulas()
        self._markdown = Markdown(images, self._formulas, trusted=trusted)
        self.rendering: Any = None  # the cell that is rendered now

    def render(self, notebook: Any, *, name: str, top: str, trusted: bool) -> Iterator[str]:
        """Yield the page's HTML. ``notebook`` must be a copy: it is changed."""
        self.environment.bytecode_cache = _COMPILED
        info = notebook["metadata"].get("language_info", {})
        language = str(info.get("pygments_lexer") or info.get("name") or "ipython3")
        given = notebook["metadata"].get("language_code") or notebook["metadata"].get("lang")
        code = given.partition("-")[0].lower() if isinstance(given, str) else ""
        if code in iso639_1:
            self.language_code = code
        register: Any = self.register_filter  # nbconvert has no types
        register("highlight_code", Highlighter(language))
        resources_of: Any = self._init_resources
        resources = resources_of({"metadata": {"name": name, "path": ""}})
        for preprocessor in self._preprocessors:
            notebook, resources = preprocessor(notebook, resources)
        self._find_labels(notebook["cells"])
        notebook["cells"] = _Watched(notebook["cells"], self)
        resources["global_content_filter"] = self._content_filter()
        resources["raw_mimetypes"] = self.raw_mimetypes
        resources["output_mimetype"] = self.output_mimetype
        resources[KEY] = {"top": top, "trusted": trusted}
        yield from self.template.generate(nb=notebook, resources=resources)

    def begin_cell(self, cell: Any) -> None:
        """Prepare the outputs of the cell that the template comes to."""
        self.rendering = cell
        if cell:
            prepare_outputs(cell, self._formulas, trusted=self._trusted)

    def _find_labels(self, cells: list[Any]) -> None:
        """Set the numbered equations once before, if there are references to them."""
        texts = [list(_find_texts(cell)) for cell in cells]
        if not any(_REFERENCE.search(text) for one in texts for text in one):
            return
        for cell, one in zip(cells, texts, strict=True):
            if any(_SETS.search(text) for text in one):
                if cell["cell_type"] == "markdown":
                    self._markdown(cell["source"], cell.get("attachments", {}))
                else:
                    copy = type(cell)(cell)
                    copy[KEY] = dict(cell[KEY])
                    prepare_outputs(copy, self._formulas, trusted=self._trusted)
        self._formulas.restart()

    @pass_context
    def markdown2html(self, context: Context, source: str) -> str:
        """Render Markdown with the attachments of its cell."""
        markup = self._markdown(source, context.get("cell", {}).get("attachments", {}))
        return f'<div class="stepkit-paper">{markup}</div>' if has_own_colours(markup) else markup

    def get_prefix_root_dirs(self) -> list[str]:
        """Return Jupyter's directories that may be entered; before 7.17.1 others are an error."""
        theirs: Any = super().get_prefix_root_dirs
        return [root for root in theirs() if os.access(root, os.X_OK)]

    def default_filters(self) -> Iterator[tuple[str, Any]]:
        """Yield nbconvert's filters, with replacements for the slow ones."""
        theirs: Any = super().default_filters
        yield from theirs()
        yield "ansi2html", ansi_html.to_html
        yield "clean_html", _clean_html
        yield "strip_files_prefix", _strip_files_prefix
        yield "filter_data_type", _list_formats
        yield "stepkit_output", _finish_output

    def _content_filter(self) -> dict[str, bool]:
        return {
            "include_code": not self.exclude_code_cell,
            "include_markdown": not self.exclude_markdown,
            "include_raw": not self.exclude_raw,
            "include_unknown": not self.exclude_unknown,
            "include_input": not self.exclude_input,
            "include_output": not self.exclude_output,
            "include_output_stdin": not self.exclude_output_stdin,
            "include_input_prompt": not self.exclude_input_prompt,
            "include_output_prompt": not self.exclude_output_prompt,
            "no_prompt": self.exclude_input_prompt and self.exclude_output_prompt,
        }


def _find_texts(cell: Any) -> Iterator[str]:
    """Yield the texts of a cell that can hold numbered equations."""
    if cell["cell_type"] == "markdown":
        yield cell["source"]
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        yield from (data[m] for m in _WITH_FORMULAS if isinstance(data.get(m), str))


class _Watched(list[Any]):
    """The cells of a notebook; the exporter notes each as the template comes to it."""

    def __init__(self, cells: Any, exporter: PageExporter) -> None:
        super().__init__(cells)
        self._exporter = exporter

    def __iter__(self) -> Iterator[Any]:
        """Yield the cells."""
        for cell in super().__iter__():
            self._exporter.begin_cell(cell)
            yield cell
        self._exporter.begin_cell(None)


class _Compiled(BytecodeCache):
    """Keeps compiled templates in memory, so that only the first page compiles them."""

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if known := self._known.get(bucket.key):
            bucket.bytecode_from_string(known)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._known[bucket.key] = bucket.bytecode_to_string()


_COMPILED: Final = _Compiled()


def _list_formats(data: Any) -> list[str]:
    return list(data)  # a prepared output has one


def _strip_files_prefix(markup: str) -> str:
    """Replace nbconvert's filter, whose search for links in Markdown is slow and needless here."""
    return re.sub(r"(src|href)=(['\"]?)/?files/", r"\1=\2", markup)


def _clean_html(element: Any) -> str:
    return element if isinstance(element, Highlighted) else str(clean_html(element))


def _finish_output(markup: str, output: Any) -> str:
    """Make an output focusable, and add the description of its image and its note."""
    head, rest = markup[:_MAX_OPENING], markup[_MAX_OPENING:]
    head = head.replace('<div class="jp-Rendered', '<div tabindex="0" class="jp-Rendered', 1)
    page = output.get(KEY) or {"alt": "", "note": ""}
    if has_own_colours(str(output.get("data", {}).get("text/html", ""))):
        head = head.replace('class="jp-Rendered', 'class="stepkit-paper jp-Rendered', 1)
    if page["alt"] and not {"text/html", "text/markdown", "text/plain"} & output["data"].keys():
        head = head.replace("<img ", f'<img alt="{html.escape(page["alt"])}" ', 1)
    note = f'<p class="stepkit-note">{html.escape(page["note"])}</p>\n' if page["note"] else ""
    return f"{head}{rest}{note}"
