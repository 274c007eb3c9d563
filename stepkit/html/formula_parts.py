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


def join(frame: str, parts: list[str]) -> str | None:
    """Return MathML with the MathML of the parts in their places, or None if one has no place."""
    for number, part in enumerate(parts):
        place = f"<mi>{chr(_FIRST + number)}</mi>"
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
