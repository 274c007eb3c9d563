"""nbconvert's HTML exporter without its pass over the finished page."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jinja2 import BytecodeCache, FileSystemLoader, pass_context
from nbconvert.exporters.html import HTMLExporter
from nbconvert.filters.strings import clean_html
from nbconvert.utils.iso639_1 import iso639_1

from stepkit.html import ansi
from stepkit.html.highlight import Highlighted, Highlighter
from stepkit.html.markdown import Markdown
from stepkit.html.outputs import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jinja2.bccache import Bucket
    from jinja2.runtime import Context

    from stepkit.html.images import Images

_TEMPLATES: Final = Path(__file__).with_name("templates")
_HEAD_OF_OUTPUT: Final = 4096  # characters in which a template opens an output


class PageExporter(HTMLExporter):
    """Renders a prepared notebook, piece by piece.

    Our template extends the chosen one's, whichever it is; what the template would load from
    elsewhere is left out by empty templates of the same names.
    """

    def __init__(self, *, template: str, hide_input: bool, images: Images, trusted: bool) -> None:
        construct: Any = super().__init__  # traitlets has no types
        construct(
            template_name=template,
            template_file="stepkit_page.html.j2",
            extra_loaders=[FileSystemLoader(_TEMPLATES)],
            extra_template_basedirs=[],  # not the working directory: a repository's may be hostile
            exclude_input=hide_input,
        )
        self._markdown = Markdown(images, trusted=trusted)

    def pieces(self, notebook: Any, *, name: str, top: str, trusted: bool) -> Iterator[str]:
        """Yield the page's HTML. ``notebook`` is the page's own and is changed."""
        info = notebook["metadata"].get("language_info", {})
        language = str(info.get("pygments_lexer") or info.get("name") or "ipython3")
        self._name_language(notebook["metadata"])
        register: Any = self.register_filter  # nbconvert has no types
        register("highlight_code", Highlighter(language))
        resources_of: Any = self._init_resources
        resources = resources_of({"metadata": {"name": name, "path": ""}})
        for preprocessor in self._preprocessors:
            notebook, resources = preprocessor(notebook, resources)
        resources["global_content_filter"] = self._content_filter()
        resources["raw_mimetypes"] = self.raw_mimetypes
        resources["output_mimetype"] = self.output_mimetype
        resources[KEY] = {"top": top, "trusted": trusted}
        yield from self.template.generate(nb=notebook, resources=resources)

    @pass_context
    def markdown2html(self, context: Context, source: str) -> str:
        """Render Markdown with the attachments of the cell it is in."""
        return self._markdown(source, context.get("cell", {}).get("attachments", {}))

    def default_filters(self) -> Iterator[tuple[str, Any]]:
        """Yield nbconvert's filters, the slow ones replaced."""
        theirs: Any = super().default_filters
        yield from theirs()
        yield "ansi2html", ansi.to_html
        yield "clean_html", _clean_html
        yield "strip_files_prefix", _strip_files_prefix
        yield "filter_data_type", _forms
        yield "stepkit_output", _output
        yield "stepkit_focusable", _focusable

    def _create_environment(self) -> Any:
        create: Any = super()._create_environment
        environment = create()
        environment.bytecode_cache = _COMPILED
        return environment

    def _name_language(self, metadata: Any) -> None:
        given = metadata.get("language_code") or metadata.get("lang")
        code = given.partition("-")[0].lower() if isinstance(given, str) else ""
        if code in iso639_1:
            self.language_code = code

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


class _Compiled(BytecodeCache):
    """Keeps compiled templates, so that only a process's first page compiles them."""

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if known := self._known.get(bucket.key):
            bucket.bytecode_from_string(known)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._known[bucket.key] = bucket.bytecode_to_string()


_COMPILED: Final = _Compiled()


def _forms(data: Any) -> list[str]:
    return list(data)  # one, since the outputs were prepared


def _strip_files_prefix(markup: str) -> str:
    """Do what nbconvert's does; its search for links in Markdown, which this is not, is slow."""
    return re.sub(r"(src|href)=(['\"]?)/?files/", r"\1=\2", markup)


def _clean_html(element: Any) -> str:
    return element if isinstance(element, Highlighted) else str(clean_html(element))


def _focusable(markup: str) -> str:
    """Let the keyboard reach a cell's source, as nbconvert does."""
    found = '<div class="jp-Cell-inputWrapper"'
    return markup.replace(found, f'{found} tabindex="0"', 1)


def _output(markup: str, output: Any) -> str:
    """Add to an output what the template does not know: focus, description, note."""
    head, rest = markup[:_HEAD_OF_OUTPUT], markup[_HEAD_OF_OUTPUT:]
    head = head.replace('<div class="jp-Rendered', '<div tabindex="0" class="jp-Rendered', 1)
    told = output.get(KEY) or {"alt": "", "note": ""}
    if told["alt"] and not {"text/html", "text/markdown", "text/plain"} & output["data"].keys():
        head = head.replace("<img ", f'<img alt="{html.escape(told["alt"])}" ', 1)
    note = f'<p class="stepkit-note">{html.escape(told["note"])}</p>\n' if told["note"] else ""
    return f"{head}{rest}{note}"
