"""Markdown to HTML with nbconvert's parser; formulas become MathML, images are embedded."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any, Final

from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from stepkit.html.formula_delimiters import may_hold_formula
from stepkit.html.highlight import has_lexer, highlight_block
from stepkit.html.sanitize import sanitize

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepkit.html.formulas import Formulas
    from stepkit.html.images import Images

# Characters of one cell without its embedded images. mistune's time is not linear for text that it
# cannot match, and cells of this length are not written by hand.
_MAX_LENGTH: Final = 100_000
# Stands for a dollar of the text until the formulas are set.
_DOLLAR: Final = "\ufdd0"
_DATA: Final = re.compile(r"data:image/[^\s)\"'>]*")


class Markdown:
    """Renders the Markdown cells of one page."""

    def __init__(
        self,
        images: Images,
        formulas: Formulas,
        *,
        trusted: bool,
        anchor: str = "\N{PILCROW SIGN}",
    ) -> None:
        self._formulas = formulas
        self._renderer = _Renderer(images, anchor)
        self._parser = MarkdownWithMath(renderer=self._renderer)
        self._trusted = trusted

    def __call__(self, source: str, attachments: Mapping[str, Any]) -> str:
        """Return the HTML of one cell."""
        as_text = f"<pre>{html.escape(source)}</pre>"
        if len(source) > _MAX_LENGTH and len(_DATA.sub("", source)) > _MAX_LENGTH:
            return as_text
        if self._formulas.exhausted and may_hold_formula(source):
            return as_text  # to parse them takes longer than all else in a page of only formulas
        self._renderer.attachments = dict(attachments)
        try:
            rendered = self._parser.render(source)
        except RecursionError:  # deeply nested brackets
            return as_text
        alt = "Image without a description"
        page = sanitize(rendered, alt=alt, trusted=self._trusted)
        return self._formulas.set_html(page).replace(_DOLLAR, "$")


class _Renderer(IPythonRenderer):
    """nbconvert's renderer, without the scripts that it needs for formulas and diagrams."""

    def __init__(self, images: Images, anchor: str) -> None:
        super().__init__(escape=False, anchor_link_text=anchor)
        self._images = images

    def block_mermaidjs(self, code: str) -> str:
        return f'<pre><code class="language-mermaid">{html.escape(code)}</code></pre>\n'

    def block_code(self, code: str, info: str | None = None) -> str:
        words = (info or "").split()
        if not words or words[0].startswith("mermaid"):
            return str(super().block_code(code, info))
        if not has_lexer(words[0]):
            return str(super().block_code(f"{words[0]}\n{code}"))
        return highlight_block(code, words[0])

    def block_html(self, html: str) -> str:
        return super().block_html(self._images.embed_in_html(html, self.attachments))

    def inline_html(self, html: str) -> str:
        return super().inline_html(self._images.embed_in_html(html, self.attachments))

    def text(self, text: str) -> str:
        """Keep a dollar that begins no formula, such as one that was escaped."""
        return str(super().text(text)).replace("$", _DOLLAR)

    def _embed_image_or_attachment(self, src: str) -> str:
        return self._images.embed(src, self.attachments)
