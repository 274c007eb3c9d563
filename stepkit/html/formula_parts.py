r"""Split a formula into parts that recur, so that each is converted only once.

In ``\theta_3 = \sum_i x_i + b``, only the first part may be new on a page; in a matrix, each cell
and the frame of the cells. latex2mathml takes longer than all else that makes a page of formulas.
"""

from __future__ import annotations

import re
from typing import Final

from stepkit.html.equation_numbers import MARK

_FIRST: Final = 0xE000  # of the characters for private use that stand for the parts
_MOST: Final = 1000
_PRIVATE: Final = re.compile(f"[{chr(_FIRST)}-{chr(_FIRST + _MOST)}]")
FIRST_NUMBER: Final = _FIRST + _MOST + 1
_PRIVATE_NUMBERS: Final = re.compile(f"[{chr(FIRST_NUMBER)}-{chr(FIRST_NUMBER + _MOST)}]")
_NUMBER: Final = re.compile(r"(?<=[_^]\{)[0-9]+(?=\})")
# A command for letters does not reach a number in braces, if its argument has none.
_RESTYLING: Final = re.compile(
    r"\\(?:math(?![a-z]+\{[^{}]*\})|text|bold|bm|pmb|[mhf]box|operatorname|unicode|verb|[a-z]*color)"
)
_LEAST: Final = 4  # characters that are worth it
_TOKEN: Final = re.compile(
    r"(?P<left>\\left\s*(?:\\[a-zA-Z]+|\\.|.))|(?P<right>\\right\s*(?:\\[a-zA-Z]+|\\.|.))"
    r"|(?P<frame>\\begin\{array\}\{[lcr|]+\}|\\(?:begin|end)\{[a-zA-Z]+\*?\}|\\\\ |\\hline|&"
    rf"|\\text\{{{MARK}[^{{}}]*\}})"
    r"|(?P<command>\\(?:[a-zA-Z]+|.))|(?P<operator>[=+<>,-])|(?P<open>\{)|(?P<close>\})|[^\\{}&=+<>,-]+",
    re.DOTALL,
)
_DEPTH: Final = {"left": 1, "open": 1, "right": -1, "close": -1}
# They reach beyond an operator, so that it does not end a part.
_REACHING: Final = re.compile(
    r"\\(?:over|atop|above|choose|brace|brack|overwithdelims|atopwithdelims|abovewithdelims|"
    r"(?:display|text|script|scriptscript)style|color|rm|bf|it|sf|tt|cal|frak|root|middle|"
    r"(?:normal|script|footnote)size|[Ll]arge|LARGE|[Hh]uge|small|[Tt]iny)(?![a-zA-Z])"
    r"|\\(?:sqrt|x[a-zA-Z]+)\s*\["
)
# Symbols that take no argument, before an operator.
_SYMBOLS: Final = re.compile(
    r"\\(?:alpha|beta|gamma|delta|(?:var)?epsilon|zeta|eta|(?:var)?theta|iota|kappa|lambda|mu|nu|xi|"
    r"pi|rho|sigma|tau|upsilon|(?:var)?phi|chi|psi|omega|Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|"
    r"Upsilon|Phi|Psi|Omega|infty|partial|nabla|ell|hbar|[lcvd]?dots|rangle|rfloor|rceil|rVert|"
    r"rvert|top|dagger|prime|quad|qquad|[,;: }|])"
)


def split(tex: str) -> tuple[str, list[str]]:
    """Return the formula with a character for private use in place of each part, and the parts."""
    unchanged: tuple[str, list[str]] = (tex, [])
    if len(tex) <= 2 * _LEAST or _PRIVATE.search(tex):
        return unchanged
    whole = bool(_REACHING.search(tex))
    frame: list[str] = []
    parts: list[str] = []
    begun = depth = 0
    last = ""

    def end_part(end: int) -> None:
        part = tex[begun:end].strip()
        if len(part) >= _LEAST and part[0] not in "_^'" and len(parts) < _MOST:
            frame.append(chr(_FIRST + len(parts)))
            parts.append(part)
        else:
            frame.append(tex[begun:end])

    for token in _TOKEN.finditer(tex):
        kind = token.lastgroup
        if change := _DEPTH.get(kind or ""):
            depth += change
            if depth < 0:
                return unchanged
        elif depth == 0 and (
            kind == "frame"
            or (
                kind == "operator" and not whole and _ends(last, tex[token.end() : token.end() + 2])
            )
        ):
            end_part(token.start())
            frame.append(token[0])
            begun = token.end()
        if token[0].strip():
            last = token[0]
    if depth:
        return unchanged
    end_part(len(tex))
    return "".join(frame), parts


def take_numbers(tex: str) -> tuple[str, list[str]]:
    r"""Do as :func:`split` with numbers such as those of ``x_{12}`` and ``x_{13}``.

    Nothing is taken from a formula with a command that can give a number another look.
    """
    found = _NUMBER.findall(tex)
    if not found or len(found) > _MOST or _PRIVATE_NUMBERS.search(tex):
        return tex, []
    if _RESTYLING.search(tex) or _REACHING.search(tex):
        return tex, []
    places = map(chr, range(FIRST_NUMBER, FIRST_NUMBER + len(found)))
    return _NUMBER.sub(lambda _: next(places), tex), found


def join(frame: str, parts: list[str], first: int = _FIRST) -> str | None:
    """Return MathML with the MathML of the parts in their places, or None if one has no place.

    ``first`` is the character that stands for the first part.
    """
    for number, part in enumerate(parts):
        place = f"<mi>{chr(first + number)}</mi>"
        if frame.count(place) != 1:
            return None
        frame = frame.replace(place, part)
    return frame


def _ends(before: str, after: str) -> bool:
    """Return whether an operator between these ends a part."""
    if after.lstrip()[:1] in {"^", "_", "'"}:
        return False
    before = before.rstrip()
    return bool(_SYMBOLS.fullmatch(before)) if before[:1] == "\\" else before[-1:] not in {"^", "_"}
