"""The formulas of a page are set as MathJax sets them, or shown as their source."""

import pytest
from nbconvert.filters.markdown_mistune import MarkdownWithMath
from nbformat.v4 import new_markdown_cell
from pages import display_cell, only, render, soup

from stepkit.html import formulas as formulas_module


def words(source: str) -> str:
    """Return the text of each formula on a page of one Markdown cell, one after the other."""
    return "|".join(math.get_text() for math in soup(new_markdown_cell(source)).select("math"))


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (r"$\epsilon \sim N $ and $|0\rangle $", "ϵ\u223cN||0⟩"),
        (r"rate $\beta_T = $0.02 a day", "βT="),
        ("$ a+b $", "a+b"),
        (r"$\text{if $x>0$}$ rest", "if\u00a0x>0"),
        (r"$$\begin{aligned}a&=b\end{aligned}$$", "a=b"),
        (r"$$a \\[5pt] b$$", "ab"),
        (r"$$\begin{aligned}a&=b \\[6pt] &=c\end{aligned}$$", "a=b=c"),
        (r"$a \text{ 50\% of \$5}$", "a\u00a050%\u00a0of\u00a0$5"),
        (r"$\operatorname*{arg\,min}_x f$", "arg\u00a0minxf"),
        (r"$a \not= b$", "a≠b"),
        (r"$\bigg\{ a$", "{a"),
    ],
)
def test_what_mathjax_sets_is_set(source: str, shown: str) -> None:
    assert words(source) == shown


@pytest.mark.parametrize(
    "html",
    [
        r"<ol><li>to $|0\rangle$ and $$\begin{aligned}a &= b \\ &= c\end{aligned}$$</li></ol>",
        r"<p>html \(|0\rangle\)<br>and \[a = b<br>= c\]</p>",
        r"<table><tr><td>$|0\rangle$<td>\begin{align*}a &= b \\ &= c\end{align*}</table>",
    ],
)
@pytest.mark.parametrize("place", ["text", "output"])
def test_formulas_in_html_are_set(html: str, place: str) -> None:
    cell = new_markdown_cell(html) if place == "text" else display_cell({"text/html": html})

    shown = [math.get_text() for math in soup(cell).select("math")]

    assert shown == ["|0⟩", "a=b=c"]


@pytest.mark.parametrize(
    "html",
    [
        "<pre>$x$</pre>",
        "<p><code>$x$</code></p>",
        '<table class="dataframe tex2jax_ignore"><tr><td>$x$</td></tr></table>',
        "<svg><text>$x$</text></svg>",
        "<p title='$x$'>price</p>",
    ],
)
def test_dollars_where_mathjax_reads_none_stay(html: str) -> None:
    page = render(display_cell({"text/html": f"{html} and $y$"}))

    assert page.count("<math") == 1
    assert "$x$" in page


@pytest.mark.parametrize(
    "text", ["It costs $5 and then $6.", "from $10-$20", r"\$x and y\$", "one $ alone", r"a \$5 b"]
)
def test_prices_and_escaped_dollars_stay_text(text: str) -> None:
    found = soup(new_markdown_cell(text))

    assert found.select("math") == []
    assert text.replace("\\", "") in found.get_text()


def test_macros_hold_from_their_definition_on() -> None:
    found = soup(
        new_markdown_cell(r"$\R$ is not known yet. $\newcommand{\R}{\mathbb{R}}$"),
        display_cell({"text/latex": r"$\def\norm#1{\lVert #1 \rVert} \norm{x}$"}),
        new_markdown_cell(r"$\R^n$ $\norm\R$ $\renewcommand{\R}{R}\R$"),
    )

    assert [math.get_text() for math in found.select("math")] == ["‖x‖", "\u211dn", "‖\u211d‖", "R"]
    assert only(found, "code.stepkit-latex").get_text() == r"$\R$"


@pytest.mark.parametrize(
    ("definition", "use", "shown"),
    [
        (r"\newcommand{\p}[2][x]{\frac{#2}{#1}}", r"\p{f}\p[y]{g}", "fxgy"),
        (r"\DeclareMathOperator{\tr}{tr}", r"\tr A", "trA"),
        (r"\DeclareMathOperator*{\am}{arg\,min}", r"\am_x f", "arg\u00a0minxf"),
        (r"\let\e=\epsilon", r"\e x", "ϵx"),
        (r"\newcommand{\al}{\alpha}", r"\al b", "\u03b1b"),
        (r"\require{cancel}", r"\cancel{x}", "x"),
    ],
)
def test_macros_of_each_kind_are_expanded(definition: str, use: str, shown: str) -> None:
    assert words(f"${definition}$ ${use}$") == shown


def test_equations_are_numbered_and_referred_to_across_cells() -> None:
    found = soup(
        new_markdown_cell(r"See \eqref{later}, $\ref{tagged}$ and \ref{no}."),
        new_markdown_cell(
            r"\begin{align} a &= b \\ c &= d \nonumber \\ e &= f \label{later} \end{align}"
        ),
        new_markdown_cell(r"$$x = y \tag{A}\label{tagged}$$ $$x = y$$"),
        new_markdown_cell(r"\begin{equation} z \end{equation}"),
    )

    shown = [math.get_text() for math in found.select("math")]
    assert shown == ["a=b(1)c=de=f(2)", "x=y(A)", "x=y", "z(3)"]
    links = [(link["href"], link.get_text()) for link in found.select("main a[href^='#mjx']")]
    assert links == [("#mjx-eqn-later", "(2)"), ("#mjx-eqn-tagged", "A")]
    assert only(found, "#mjx-eqn-later").get_text() == "(2)"
    assert only(found, "code.stepkit-latex").get_text() == r"\ref{no}"


def test_rows_of_equations_are_aligned_for_browsers_without_columnalign() -> None:
    found = soup(new_markdown_cell(r"$$\begin{aligned}a&=b\\c&=d\end{aligned}$$"))

    styles = [cell["style"] for cell in found.select("mtr:first-child mtd")]
    assert styles == ["text-align:right;padding-right:0", "text-align:left;padding-left:0"]


@pytest.mark.parametrize(
    ("tex", "why"),
    [
        (r"\unknown{x}", r"\unknown is not known"),
        ("a & b", "its & cannot be read"),
        (r"\begin{tabular}{l} a \end{tabular}", "the environment tabular is not supported"),
        (r"\newcommand{\x}{\x\x}\x", "its macros do not end"),
        (r"\def\z(#1){#1}", r"\def with delimited parameters is not supported"),
        (r"\text{\foo}", "a command in its text is not supported"),
        (r"\begin{aligned} a \end{split}", "its environments do not match"),
        (r"\verb|x|", r"\verb is not supported"),
        ("x" * 6000, "it has more than 5,000 characters"),
        ("{" * 2000, "latex2mathml cannot read it"),
    ],
)
def test_what_cannot_be_set_is_shown_as_its_source_with_the_reason(tex: str, why: str) -> None:
    found = soup(new_markdown_cell(f"before $${tex}$$ after"))

    source = only(found, "code.stepkit-latex")
    assert source.get_text() == f"$${tex}$$"
    assert source["title"] == f"Shown as its source: {why}"
    assert "after" in only(found, ".jp-RenderedMarkdown").get_text()
    assert found.select("math") == []


@pytest.mark.parametrize(
    "tex",
    [
        r"\class{stepkit-bar}{x}",
        r"\style{position:fixed}{x}",
        r"\cssId{first-error}{x}",
        r"\href{javascript:x()}{x}",
    ],
)
def test_a_formula_sets_no_attributes_of_html(tex: str) -> None:
    math = only(soup(new_markdown_cell(f"${tex}$")), "math")

    assert math.get_text() == "x"
    assert {name for tag in [math, *math.select("*")] for name in tag.attrs} == {"xmlns", "display"}


def test_the_formulas_after_a_limit_are_shown_as_their_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(formulas_module, "_MAX_TEX", 10)

    found = soup(*(new_markdown_cell(f"$x_{{{number}}}$ $y$") for number in range(4)))

    assert [math.get_text() for math in found.select("math")] == ["x0", "y"]
    assert (
        "From here on, formulas and the text cells that contain them are shown as their source"
        in only(found, ".stepkit-note").get_text()
    )
    assert len(found.select(".stepkit-note")) == 1
    assert "$x_{3}$ $y$" in found.get_text()


def test_cells_with_formulas_after_the_limit_are_not_parsed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed = []
    render_markdown = MarkdownWithMath.render

    def watch(parser: MarkdownWithMath, source: str) -> str:
        parsed.append(source)
        return render_markdown(parser, source)

    monkeypatch.setattr(formulas_module, "_MAX_TEX", 10)
    monkeypatch.setattr(MarkdownWithMath, "render", watch)
    sources = ["$x$ $y$", "long $x = 1 + 2 + 3$", "*a* $z$ <b>", "*without*", r"\(z\)"]

    found = soup(
        *map(new_markdown_cell, sources),
        display_cell({"text/html": "<p>$h$</p>"}),
        display_cell({"text/latex": "$l$"}),
    )

    assert parsed == ["$x$ $y$", "long $x = 1 + 2 + 3$", "*without*"]
    assert [pre.get_text() for pre in found.select("pre")][:2] == ["*a* $z$ <b>", r"\(z\)"]
    assert only(found, "em").get_text() == "without"
    assert [math.get_text() for math in found.select("math")] == ["x", "y"]
    assert only(found, "code.stepkit-latex").get_text() == "$l$"
    assert "$h$" in found.get_text()
