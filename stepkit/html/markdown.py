"""Markdown to HTML with nbconvert's parser, its formulas as MathML and its images embedded."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any, Final

from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from stepkit.html import fragments, mathml
from stepkit.html.highlight import coloured, known

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepkit.html.images import Images

# Characters of one cell, images within it aside. mistune is not linear in what it cannot match, and
# no person wrote so much.
_LONGEST: Final = 100_000
_DATA: Final = re.compile(r"data:image/[^\s)\"'>]*")


class Markdown:
    """Renders the cells of one page, one after the other."""

    def __init__(self, images: Images, *, trusted: bool, anchor: str = "\N{PILCROW SIGN}") -> None:
        self._renderer = _Renderer(images, anchor)
        self._parser = MarkdownWithMath(renderer=self._renderer)
        self._trusted = trusted

    def __call__(self, source: str, attachments: Mapping[str, Any]) -> str:
        """Return the HTML of one cell."""
        self._renderer.attachments = dict(attachments)
        try:
            rendered = None if _too_long(source) else self._parser.render(source)
        except RecursionError:  # brackets in brackets in brackets
            rendered = None
        if rendered is None:
            return f"<pre>{html.escape(source)}</pre>"
        return fragments.settled(rendered, alt="Image without a description", trusted=self._trusted)


def _too_long(source: str) -> bool:
    return len(source) > _LONGEST and len(_DATA.sub("", source)) > _LONGEST


class _Renderer(IPythonRenderer):
    """nbconvert's renderer; what it leaves to scripts is done here."""

    def __init__(self, images: Images, anchor: str) -> None:
        super().__init__(escape=False, anchor_link_text=anchor)
        self._images = images

    def block_mermaidjs(self, code: str) -> str:
        return f'<pre><code class="language-mermaid">{html.escape(code)}</code></pre>\n'

    def block_code(self, code: str, info: str | None = None) -> str:
        words = (info or "").split()
        if not words or words[0].startswith("mermaid"):
            return str(super().block_code(code, info))
        if not known(words[0]):
            return str(super().block_code(f"{words[0]}\n{code}"))
        return coloured(code, words[0])

    def block_html(self, html: str) -> str:
        return super().block_html(self._images.in_html(html, self.attachments))

    def inline_html(self, html: str) -> str:
        return super().inline_html(self._images.in_html(html, self.attachments))

    def block_math(self, body: str) -> str:
        return mathml.mathml(body, display=True) or mathml.source(f"$${body}$$")

    def inline_math(self, body: str) -> str:
        if body[-1:].isspace() and not body[:1].isspace():  # between two prices
            return str(super().inline_math(body))
        return mathml.mathml(body, display=False) or mathml.source(f"${body}$")

    def latex_environment(self, name: str, body: str) -> str:
        whole = f"\\begin{{{name}}}{body}\\end{{{name}}}"
        return mathml.environment(name, body) or mathml.source(whole)

    def _embed_image_or_attachment(self, src: str) -> str:
        return self._images.embedded(src, self.attachments)
