r"""The formulas of one page, in the order of the page: macros, numbers and labels carry over."""

from __future__ import annotations

import html
import re
from typing import Final

from stepkit.html import element_groups as elements
from stepkit.html import mathml
from stepkit.html.equation_numbers import EquationNumbers, make_anchor
from stepkit.html.formula_delimiters import Formula, find_formulas, may_hold_formula
from stepkit.html.tex_macros import Macros, TexError
from stepkit.html.tex_rewrite import rewrite

# Characters of all formulas on a page, which take about ten seconds. The largest notebooks that
# people write have a tenth of that.
_MAX_TEX: Final = 1_000_000
_TAG: Final = re.compile(r"<(/?)([a-zA-Z][^\s/>]*+)((?:[^\"'<>]++|\"[^\"]*+\"|'[^']*+')*+)>")
# Elements whose text MathJax leaves alone, and the class that says so; pandas uses it for tables.
_WITHOUT: Final = {"pre", "code", "script", "style", "textarea", "annotation", "svg", "math"}
_IGNORED: Final = re.compile(r"\bclass\s*=[^<>]*\b(?:tex2jax|mathjax)_ignore\b")
_BREAK: Final = re.compile(r"<br\b[^<>]*>")
_REFERENCE: Final = re.compile(r"\s*\\(eq)?ref\{([^{}]*)\}\s*")
_NOTE: Final = (
    '<span class="stepkit-note">From here on, formulas and the text cells that contain them are '
    f"shown as their source: more than {_MAX_TEX:,} characters are formulas.</span>"
)


class Formulas:
    """Sets the formulas of one page as MathML."""

    def __init__(self) -> None:
        self._macros = Macros()
        self._numbers = EquationNumbers()
        self._left = _MAX_TEX

    def restart(self) -> None:
        """Begin the page anew; labels of equations that come later are known then."""
        self._macros = Macros()
        self._numbers.restart()
        self._left = _MAX_TEX

    @property
    def exhausted(self) -> bool:
        """Whether the page has so many formulas that the others are shown as their source."""
        return self._left <= 0

    def set_html(self, fragment: str) -> str:
        """Return HTML that was sanitized, with MathML in place of the formulas in its text."""
        if self.exhausted or not may_hold_formula(fragment):
            return fragment
        pieces: list[str] = []
        words: list[str] = []  # a <br> does not end a formula
        end, ignored, depth = 0, "", 0
        for tag in _TAG.finditer(fragment):
            name = tag[2].lower()
            words.append(fragment[end : tag.start()])
            end = tag.end()
            if name == "br" and not ignored:
                words.append(tag[0])
                continue
            text = "".join(words)
            words.clear()
            pieces += [text if ignored else self._set_all(text)[0], tag[0]]
            if ignored:
                depth += 0 if name != ignored else -1 if tag[1] else 1
                ignored = ignored if depth else ""
            elif not tag[1] and name not in elements.VOID:
                ignored = name if name in _WITHOUT or _IGNORED.search(tag[3]) else ""
                depth = 1
        words.append(fragment[end:])
        pieces.append(self._set_all("".join(words))[0])
        return "".join(pieces)

    def set_latex(self, text: str) -> tuple[str, bool]:
        """Return HTML for an output's ``text/latex``, and whether all of it could be set.

        Without a delimiter, all of the text is a formula's source, which pages do not set.
        """
        if self.exhausted or (not any(found.tex for found in find_formulas(text)) and text.strip()):
            return mathml.show_source(text), False
        return self._set_all(html.escape(text, quote=False))

    def _set_all(self, text: str) -> tuple[str, bool]:
        if self.exhausted or not may_hold_formula(text):
            return text, not self.exhausted
        pieces: list[str] = []
        end, complete = 0, True
        for found in find_formulas(text):
            pieces.append(text[end : found.start])
            end = found.end
            if not found.tex:  # \$
                pieces.append("$")
                continue
            self._left -= len(found.tex)
            if self._left <= 0:
                return "".join([*pieces, _NOTE, text[found.start :]]), False
            try:
                pieces.append(self._set(found))
            except TexError as error:
                source = html.unescape(text[found.start : found.end])
                pieces.append(mathml.show_source(source, str(error)))
                complete = False
        return "".join([*pieces, text[end:]]), complete

    def _set(self, found: Formula) -> str:
        """Return the MathML of a formula; raise :class:`TexError` if it cannot be set."""
        tex = found.tex
        if "<" in tex:
            tex = _BREAK.sub(" ", tex)
        if "&" in tex:
            tex = html.unescape(tex)
        if len(tex) > mathml.MAX_FORMULA:
            raise TexError(f"it has more than {mathml.MAX_FORMULA:,} characters")
        if reference := _REFERENCE.fullmatch(tex):
            number = html.escape(self._numbers.find(reference[2]))
            shown = f"({number})" if reference[1] else number
            return f'<a href="#{make_anchor(reference[2])}">{shown}</a>'
        display = found.display or tex.lstrip().startswith(r"\displaystyle")
        tex = rewrite(self._macros.expand(tex), self._numbers, display=display).strip()
        return mathml.convert(tex, display=display) if tex else ""
