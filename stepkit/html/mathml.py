"""One formula as MathML, which a browser shows without a script, by latex2mathml."""

from __future__ import annotations

import html
from functools import cache, lru_cache
from typing import Final

from stepkit.html import formula_parts, mathml_tree
from stepkit.html.tex_macros import TexError

# A longer formula is not written by hand, and latex2mathml recurses as deep as a formula nests.
MAX_FORMULA: Final = 5_000
_NAMESPACE: Final = "http://www.w3.org/1998/Math/MathML"


@lru_cache(maxsize=4096)
def convert(tex: str, *, display: bool) -> str:
    """Return the formula as MathML.

    Raises :class:`TexError` with the reason if latex2mathml cannot set it, or sets it wrong.
    """
    if len(tex) > MAX_FORMULA:
        raise TexError(f"it has more than {MAX_FORMULA:,} characters")
    kind = "block" if display else "inline"
    frame, parts = formula_parts.split(tex)
    written = convert_part(frame, kind)
    if parts:
        joined = formula_parts.join(written, [convert_part(part, kind) for part in parts])
        written = convert_part(tex, kind) if joined is None else joined
    return f'<math xmlns="{_NAMESPACE}" display="{kind}"><mrow>{written}</mrow></math>'


@lru_cache(maxsize=8192)
def convert_part(tex: str, display: str) -> str:
    """Return the elements of a formula or a part of it."""
    frame, numbers = formula_parts.take_numbers(tex)
    if numbers:
        written = [f"<mn>{number}</mn>" for number in numbers]
        joined = formula_parts.join(
            convert_whole(frame, display), written, formula_parts.FIRST_NUMBER
        )
        if joined is not None:
            return joined
    return convert_whole(tex, display)


@lru_cache(maxsize=8192)
def convert_whole(tex: str, display: str) -> str:
    """Return the elements of a formula, converted as it is."""
    from latex2mathml import converter

    try:
        tree = converter.convert_to_element(tex, display=display)
        mathml_tree.finish(tree)
        written: list[str] = []
        for element in tree[0]:
            mathml_tree.write(element, written)
        return "".join(written)
    except _errors() as error:
        raise TexError("latex2mathml cannot read it") from error


@cache
def _errors() -> tuple[type[Exception], ...]:
    """Return what latex2mathml raises: its exceptions, without a base class, and Python's own."""
    from latex2mathml import exceptions

    own = [e for e in vars(exceptions).values() if isinstance(e, type) and issubclass(e, Exception)]
    others = (ArithmeticError, AttributeError, LookupError, RecursionError, StopIteration)
    return (*own, *others, TypeError, ValueError)


def show_source(latex: str, why: str = "") -> str:
    """Return HTML that shows the LaTeX of a formula, and why it is not set."""
    title = f' title="Shown as its source: {html.escape(why)}"' if why else ""
    return f'<code class="stepkit-latex"{title}>{html.escape(latex)}</code>'
