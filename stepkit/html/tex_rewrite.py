r"""Rewrite TeX into what latex2mathml sets as MathJax does.

latex2mathml knows no ``aligned``, no formula within a text, no ``\\[5pt]`` and no labels: it
prints their source in the middle of a formula.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stepkit.html.tex_macros import TexError, read_argument

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepkit.html.equation_numbers import EquationNumbers

_TOKEN: Final = re.compile(r"\\(?:[a-zA-Z]+\*?|.)|[{}]|%[^\n]*\n?|[^\\{}%]+|\\", re.DOTALL)
# What latex2mathml sets right as it stands needs none of this.
_NEEDED: Final = re.compile(
    r"\\(?:text|[mhf]box|emph|tag|label|nonumber|notag|(?:eq)?ref|\\|cr|begin|end|operatorname|"
    r"verb|arg|href|style|class|cssId|color|left|right|newline|substack|hfill|mathop)|%|\^\*|~"
)
_ENVIRONMENTS: Final = {
    "equation": "",
    "displaymath": "",
    "math": "",
    "align": "align*",
    "aligned": "align*",
    "alignat": "align*",
    "alignedat": "align*",
    "flalign": "align*",
    "split": "align*",
    "eqnarray": "array",
    "gather": "array",
    "gathered": "array",
    "multline": "array",
    "cases": "cases",
    "array": "array",
    "matrix": "matrix",
    "pmatrix": "pmatrix",
    "bmatrix": "bmatrix",
    "Bmatrix": "Bmatrix",
    "vmatrix": "vmatrix",
    "Vmatrix": "Vmatrix",
    "smallmatrix": "smallmatrix",
}
_ROW_END: Final = r"\\ "
_COLUMNS: Final = {"eqnarray": "rcl", "gather": "c", "gathered": "c", "multline": "c"}
_NUMBERED: Final = {"equation", "align", "alignat", "flalign", "eqnarray", "gather", "multline"}
_ONE_NUMBER: Final = {"equation", "multline"}
_WITH_COUNT: Final = {"alignat", "alignedat"}
_TEXTS: Final = {
    r"\text", r"\textrm", r"\textit", r"\textbf", r"\texttt", r"\textsf", r"\textnormal",
    r"\textup", r"\textmd", r"\mbox", r"\hbox", r"\emph", r"\fbox",
}  # fmt: skip
_ESCAPED: Final = re.compile(r"\\([%_&#$ ])")
_REFUSED: Final = {r"\verb", r"\newline"}


def rewrite(tex: str, numbers: EquationNumbers, *, display: bool) -> str:
    """Return the formula for latex2mathml; raise :class:`TexError` if it cannot be set."""
    if not _NEEDED.search(tex):
        return tex
    return _Rewriter(tex, numbers).rewrite(display=display)


class _Environment:
    """An environment that is open, and the number of its present row."""

    def __init__(self, name: str, *, numbered: bool, start: int) -> None:
        self.name = name.removesuffix("*")
        self.written = _ENVIRONMENTS[self.name] if name else ""
        self.numbered = numbered
        self.start = start  # in what is written
        self.braces = 0
        self.has_rows = False
        self.begin_row()

    def begin_row(self) -> None:
        self.tag: str | None = None
        self.label = ""
        self.starred = self.without = False


class _Rewriter:
    """Reads a formula from its first command to its last."""

    def __init__(self, tex: str, numbers: EquationNumbers) -> None:
        self._tex = tex
        self._at = 0
        self._out: list[str] = []
        self._numbers = numbers
        self._open = [_Environment("", numbered=False, start=0)]
        self._handlers: dict[str, Callable[[], None]] = {
            r"\tag": self._write_tag,
            r"\tag*": self._write_tag_star,
            r"\label": self._write_label,
            r"\nonumber": self._leave_out_number,
            r"\notag": self._leave_out_number,
            r"\ref": self._write_reference,
            r"\eqref": self._write_reference_in_brackets,
            r"\\": self._write_row_end,
            r"\cr": self._write_row_end,
            r"\begin": self._begin,
            r"\end": self._end,
            r"\operatorname": self._write_operator_name,
            r"\operatorname*": self._write_operator_name_star,
            r"\color": self._write_color,
            r"\arg": lambda: self._out.append(r"\operatorname{arg}"),
            **dict.fromkeys((r"\href", r"\style", r"\class", r"\cssId"), self._leave_out_argument),
        }

    def rewrite(self, *, display: bool) -> str:
        while token := _TOKEN.match(self._tex, self._at):
            self._at = token.end()
            self._write(token[0])
        whole = self._open[-1]
        if len(self._open) > 1 or whole.braces:
            raise TexError("its braces or environments do not match")
        if whole.has_rows and not display:
            raise TexError(r"\\ within a line of text is not supported")
        self._end_last_row(whole)
        return "".join(self._out)

    def _write(self, token: str) -> None:
        if handler := self._handlers.get(token):
            handler()
        elif token in _TEXTS:
            self._write_text(token)
        elif token in _REFUSED:
            raise TexError(f"{token} is not supported")
        elif token[0] == "\\":
            self._out.append(token)
        elif token[0] != "%":
            self._open[-1].braces += {"{": 1, "}": -1}.get(token, 0)
            if self._open[-1].braces < 0:
                raise TexError("its braces do not match")
            self._out.append(token.replace("~", r"\ ").replace("^*", "^{*}"))

    def _argument(self) -> str:
        value, self._at = read_argument(self._tex, self._at)
        return value

    def _write_text(self, command: str) -> None:
        """Write a text, with the formulas in it."""
        pieces = re.split(r"(?<!\\)\$|\\[()]", self._argument())
        if len(pieces) % 2 == 0:
            raise TexError("a formula in its text does not end")
        written = []
        for place, piece in enumerate(pieces):
            if place % 2:
                inner = _Rewriter(piece, self._numbers).rewrite(display=False)
                written.append(f"{{{inner}}}")
            elif piece:
                written.append(self._plain_text(command, piece))
        self._out.append(f"{{{''.join(written)}}}")

    def _plain_text(self, command: str, text: str) -> str:
        text = re.sub(
            r"\\(eq)?ref\{([^{}]*)\}",
            lambda found: self._refer(found[2], in_brackets=bool(found[1])),
            text,
        )
        text = re.sub(r"(?<!\\)[{}]", "", _ESCAPED.sub(r"\1", text))
        text = re.sub(r"\s+", " ", text.replace("~", "\u00a0"))
        if "\\" in text:
            raise TexError("a command in its text is not supported")
        return f"{command}{{{text}}}"

    def _write_tag(self) -> None:
        self._numbered().tag = self._argument()

    def _write_tag_star(self) -> None:
        self._write_tag()
        self._numbered().starred = True

    def _write_label(self) -> None:
        self._numbered().label = self._argument()

    def _leave_out_number(self) -> None:
        self._numbered().without = True

    def _numbered(self) -> _Environment:
        """Return the environment whose row has the number: not an aligned in an equation."""
        rows = (one for one in reversed(self._open) if one.name in _NUMBERED)
        return next(rows, self._open[0])

    def _write_reference(self) -> None:
        self._out.append(rf"\text{{{self._refer(self._argument(), in_brackets=False)}}}")

    def _write_reference_in_brackets(self) -> None:
        self._out.append(rf"\text{{{self._refer(self._argument(), in_brackets=True)}}}")

    def _refer(self, label: str, *, in_brackets: bool) -> str:
        number = self._numbers.find(label)
        return f"({number})" if in_brackets else number

    def _write_row_end(self) -> None:
        space = re.compile(r"\s*(?:\*\s*)?\[\s*-?[\d.]+\s*[a-z]{2}\s*\]|\*").match(
            self._tex, self._at
        )
        self._at = space.end() if space else self._at
        row = self._open[-1]
        if not row.braces and row.name not in _ONE_NUMBER:
            self._number_row(row)
        row.has_rows = row.has_rows or not row.braces
        self._out.append(_ROW_END)

    def _number_row(self, row: _Environment) -> None:
        if row.tag is not None or (row.numbered and not row.without):
            self._out.append(self._numbers.number(row.tag, row.label, starred=row.starred))
        row.begin_row()

    def _begin(self) -> None:
        name = self._argument().strip()
        plain = name.removesuffix("*")
        if plain not in _ENVIRONMENTS:
            raise TexError(f"the environment {name} is not supported")
        optional = re.compile(r"\s*\[[tbc]\]").match(self._tex, self._at)
        self._at = optional.end() if optional else self._at
        if plain in _WITH_COUNT:
            self._argument()
        outside = any(one.numbered for one in self._open)
        numbered = name in _NUMBERED and not outside
        environment = _Environment(name, numbered=numbered, start=len(self._out))
        self._open.append(environment)
        columns = _COLUMNS.get(plain, "")
        if plain == "array":
            columns = re.sub(r"\s|@\{\}|[<>!]\{\}", "", self._argument()).replace(":", "|")
            if not re.fullmatch(r"[lcr|]+", columns):
                raise TexError(f"the columns {columns} are not supported")
        if environment.written:
            self._out.append(rf"\begin{{{environment.written}}}")
            self._out.append(f"{{{columns}}}" if columns else "")
            line = re.compile(r"\s*\\hline").match(self._tex, self._at)
            self._at = line.end() if line else self._at  # latex2mathml draws it one row too low

    def _end(self) -> None:
        name = self._argument().strip()
        if len(self._open) == 1 or self._open[-1].name != name.removesuffix("*"):
            raise TexError("its environments do not match")
        environment = self._open.pop()
        if environment.braces:
            raise TexError("its braces do not match")
        self._end_last_row(environment)
        if environment.written:
            self._out.append(rf"\end{{{environment.written}}}")

    def _end_last_row(self, environment: _Environment) -> None:
        """Write the number of the last row, unless it is empty; put rows into an array."""
        while len(self._out) > environment.start and not self._out[-1].strip():
            self._out.pop()
        empty = environment.has_rows and self._out[-1] == _ROW_END
        if empty:
            self._out.pop()
        if environment.has_rows and not environment.written and _ROW_END in self._out:
            self._out.insert(environment.start, r"\begin{array}{c}")
            self._out.append(r"\end{array}")
        if not empty or environment.name in _ONE_NUMBER or environment.tag is not None:
            self._number_row(environment)

    def _write_color(self) -> None:
        """Write a colour of one argument, as MathJax has it, or else of the rest of the group."""
        color = self._argument()
        if self._tex[self._at :].lstrip().startswith("{"):
            inner = _Rewriter(self._argument(), self._numbers).rewrite(display=False)
            self._out.append(rf"{{\color{{{color}}} {inner}}}")
        else:
            self._out.append(rf"\color{{{color}}}")

    def _leave_out_argument(self) -> None:
        """Leave out a link or a style, and keep the formula that has it."""
        self._argument()

    def _write_operator_name(self) -> None:
        self._write_operator(r"\operatorname")

    def _write_operator_name_star(self) -> None:
        self._write_operator(r"\operatorname*")

    def _write_operator(self, command: str) -> None:
        name = re.sub(
            r"\\(?:rm|bf|it|mathrm|text|textrm|mathop)(?![a-zA-Z])|[{}]", "", self._argument()
        )
        name = re.sub(r"\s+", "", name)
        name = re.sub(r"\\[,;:!]|\\ |~", "\u00a0", name)
        if not re.fullmatch(r"[a-zA-Z\u00a0*]+", name):
            if "\\" in name:
                raise TexError("a command in the name of an operator is not supported")
            self._out.append(rf"{{\textnormal{{{name}}}}}")
            return
        self._out.append(f"{command}{{{name}}}")
