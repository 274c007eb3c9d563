import pytest
from nbformat.v4 import new_markdown_cell
from pages import PNG, display_cell, only, render, soup


@pytest.mark.parametrize(
    ("source", "display"),
    [
        ("so $x^2$ it is", "inline"),
        ("$$x^2$$", "block"),
        (r"so \\(x^2\\) it is", "inline"),
        (r"\\[x^2\\]", "block"),
        (r"\begin{equation} x^2 \end{equation}", "block"),
        (r"\begin{align} x^2 &= 1 \\ y &= 2 \end{align}", "block"),
    ],
)
def test_formulas_become_mathml(source: str, display: str) -> None:
    math = only(soup(new_markdown_cell(source)), "math")

    assert math["display"] == display
    assert math.select_one("msup") is not None


@pytest.mark.parametrize(
    "formula",
    [
        r"\left( x",
        r"\frac",
        r"\unknown{x}",
        "{" * 2000,
        "x" * 10_000,
        r"\begin{tabular}{l} a \end{tabular}",
    ],
)
def test_a_formula_that_cannot_be_converted_stays_readable(formula: str) -> None:
    found = soup(new_markdown_cell(f"before $${formula}$$ after"))

    assert only(found, "code.stepkit-latex").get_text() == f"$${formula}$$"
    assert "after" in only(found, ".jp-RenderedMarkdown").get_text()


def test_a_formula_cannot_contain_markup_or_links() -> None:
    text = r"$\text{<script>x()</script>}$ $\href{javascript:x()}{y}$ $\text{&lt;b&gt;}$"

    html = render(new_markdown_cell(text))

    assert "<script>" not in html
    assert "javascript:" not in html
    assert "<b>" not in html


def test_prices_are_not_a_formula() -> None:
    found = soup(new_markdown_cell("It costs $5 and then $6."))

    assert found.select("math") == []
    assert "It costs $5 and then $6." in found.get_text()


def test_a_formula_in_an_output_becomes_mathml() -> None:
    found = soup(display_cell({"text/latex": r"$\displaystyle \frac{a}{b}$", "text/plain": "a/b"}))

    assert only(found, ".jp-OutputArea-output math")["display"] == "block"


def test_an_image_of_a_formula_is_preferred_to_its_source() -> None:
    found = soup(display_cell({"text/latex": r"$\left( x$", "image/png": PNG}))

    assert only(found, ".jp-RenderedImage img")["src"] == f"data:image/png;base64,{PNG}"


def test_a_formula_in_a_heading_keeps_the_headings_anchor() -> None:
    heading = only(soup(new_markdown_cell("## Step $x$ done")), "h2")

    assert heading.select_one("math") is not None
    assert heading["id"] == "Step-$x$-done"  # as nbconvert's, to which notebooks link
