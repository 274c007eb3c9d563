"""Colours for code, by Pygments with one lexer and one formatter for all cells."""

from __future__ import annotations

import html
from functools import lru_cache
from typing import Any

from pygments import formatters, highlight, lexers, util  # type: ignore[import-untyped]


class Highlighted(str):
    """Markup that Pygments wrote: it needs no cleaning, which costs more than the colours do."""

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


def known(language: str) -> bool:
    """Tell whether Pygments has a lexer for ``language``."""
    return not isinstance(_lexer(language), lexers.TextLexer) or language == "text"


def coloured(source: str, language: str) -> str:
    """Return a block of code in a text as HTML."""
    return Highlighted(highlight(source, _lexer(language), _formatter("")))


@lru_cache(maxsize=64)
def _formatter(language: str) -> Any:
    """Return a formatter; making one costs more than using it."""
    return formatters.HtmlFormatter(
        cssclass=html.escape(f" highlight hl-{language}" if language else "highlight")
    )


@lru_cache(maxsize=64)
def _lexer(language: str) -> Any:
    if language == "ipython3":
        return _ipython_lexer()
    try:
        return lexers.get_lexer_by_name(language)
    except util.ClassNotFound:
        return lexers.TextLexer()


def _ipython_lexer() -> Any:
    try:
        # IPython 9's, without IPython itself
        from ipython_pygments_lexers import IPython3Lexer  # type: ignore[import-untyped]
    except ImportError:
        from IPython.lib.lexers import IPython3Lexer
    return IPython3Lexer()
