"""Syntax highlighting with Pygments; lexers and formatters are made once for all cells."""

from __future__ import annotations

import html
from functools import lru_cache
from typing import Any

from pygments import formatters, highlight, lexers, util  # type: ignore[import-untyped]


class Highlighted(str):
    """Markup that Pygments wrote: it needs no cleaning, which is slower than highlighting."""

    __slots__ = ()


class Highlighter:
    """nbconvert's filter ``highlight_code``."""

    def __init__(self, language: str) -> None:
        self._language = language

    def __call__(
        self, source: str, language: str | None = None, metadata: dict[str, Any] | None = None
    ) -> str:
        """Return the source as HTML."""
        language = language or self._language
        formatter = _formatter(language)
        magic = (metadata or {}).get("magics_language")
        if language.startswith("ipython") and isinstance(magic, str):
            language = magic
        return Highlighted(highlight(source or " ", _lexer(language), formatter))


def has_lexer(language: str) -> bool:
    """Return whether Pygments has a lexer for ``language``."""
    return not isinstance(_lexer(language), lexers.TextLexer) or language == "text"


def highlight_block(source: str, language: str) -> str:
    """Return a code block of a Markdown text as HTML."""
    return Highlighted(highlight(source, _lexer(language), _formatter("")))


@lru_cache(maxsize=64)
def _formatter(language: str) -> Any:
    """Return a formatter; making one takes longer than using it."""
    return formatters.HtmlFormatter(
        cssclass=html.escape(f" highlight hl-{language}" if language else "highlight")
    )


@lru_cache(maxsize=64)
def _lexer(language: str) -> Any:
    if language in {"ipython2", "ipython3"}:
        try:
            # IPython 9's lexers are a package; importing IPython itself would be slow.
            import ipython_pygments_lexers as ipython  # type: ignore[import-untyped]
        except ImportError:
            from IPython.lib import lexers as ipython
        return ipython.IPythonLexer() if language == "ipython2" else ipython.IPython3Lexer()
    try:
        return lexers.get_lexer_by_name(language)
    except util.ClassNotFound:
        return lexers.TextLexer()
