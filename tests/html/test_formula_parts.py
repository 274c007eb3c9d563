"""A formula in parts is what the whole formula is."""

import pytest

from stepkit.html import formula_parts, mathml


@pytest.mark.parametrize(
    "tex",
    [
        r"\theta_{3} = \sum_{i=1}^n x_i + \beta_{12}",
        r"\begin{array}{c|c} a_{11} & b_{12} \\ \hline c_{21} & d_{22}\end{array}",
        r"\begin{align*} a_{1} &= b_{2} + c \\ &= \int_0^1 x \, dx \end{align*}",
        r"\begin{bmatrix}x_{1}\\ x_{2}\end{bmatrix}_{2\times 1} = \mathbf{x}",
        r"\hat = x_{12} - \bar{y_{12}}",
        r"a_{12} =^{!} b_{12}",
        r"a_{12} + b_{12} \over c_{12} - d_{12}",
        r"\displaystyle x_{12} + \sum_{i} y_{12}",
        r"\left( a_{12} = b_{12} \right> + c_{12}",
        r"\sqrt[n_{12} = 2]{x_{12}} = y",
        r"\not= x_{12} = y_{12}",
        r"x_{12}^{34} + f'^{12} + \sum_{10}^{20} \log_{10} x + {}_{92}U",
        r"\mathbf{x_{12}} + \mathbb{R}^{12}",
        r"{\bf x_{12}} + \boldsymbol{\theta_{12}}",
        r"\overline{x_{12}} + \frac{x_{10}}{y^{20}}",
        r"\operatorname{a} x_{12}",
    ],
)
@pytest.mark.parametrize("display", [True, False])
def test_parts_joined_are_the_formula(
    tex: str, monkeypatch: pytest.MonkeyPatch, *, display: bool
) -> None:
    clear_caches()
    joined = mathml.convert(tex, display=display)
    clear_caches()
    monkeypatch.setattr(formula_parts, "split", lambda tex: (tex, []))
    monkeypatch.setattr(formula_parts, "take_numbers", lambda tex: (tex, []))

    assert joined == mathml.convert(tex, display=display)
    clear_caches()


def clear_caches() -> None:
    """Forget the parts that were converted."""
    for cached in (mathml.convert, mathml.convert_part, mathml.convert_whole):
        cached.cache_clear()


def test_parts_that_differ_by_their_numbers_are_converted_once() -> None:
    parts = [rf"\frac{{a_{{{number}}}}}{{b^{{{number + 1}}}}}" for number in (8, 99)]

    taken = [formula_parts.take_numbers(part) for part in parts]

    assert len({frame for frame, _ in taken}) == 1
    assert [numbers for _, numbers in taken] == [["8", "9"], ["99", "100"]]


@pytest.mark.parametrize("tex", [r"\mathbf{x_{12}}", r"\bf x_{12}", "\ue400 x_{12}", "12 x"])
def test_a_number_that_may_look_different_stays_in_its_formula(tex: str) -> None:
    assert formula_parts.take_numbers(tex) == (tex, [])


def test_a_part_is_converted_once() -> None:
    formulas = [rf"\theta_{{{number}}} = \frac{{a_1}}{{b_2}} + c" for number in range(3)]

    frames = {formula_parts.split(formula)[0] for formula in formulas}
    assert len(frames) == 1
    assert [formula_parts.split(formula)[1][1] for formula in formulas] == [r"\frac{a_1}{b_2}"] * 3


def test_a_formula_with_characters_for_private_use_is_not_split() -> None:
    assert formula_parts.split("\ue000 = \\theta_{12}")[1] == []


def test_a_part_without_a_place_is_not_lost() -> None:
    assert formula_parts.join("<mn>1</mn>", ["<mi>x</mi>"]) is None
