"""Properties of every notebook and every rule."""

import ast
import copy
import re
import string
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import nbformat
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stepkit import rules
from stepkit.errors import ConfigurationError
from stepkit.notebook import python_source
from stepkit.rules import notebook_diff
from stepkit.rules.literals import to_literal
from stepkit.rules.rule import AnyRule, Book, Inject, Replace, Selector, Set, Skip

NAMES = ("alpha", "béta", "X")
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)
lines = st.sampled_from(
    [
        "{name} = 1",
        "{name} = other = [1, 2]  # why",
        "{name}: 'int' = (\n    1 +  # één\n    2\n)",
        "y = 0; {name} = 'é' ; z = 1",
        "{name}, other = 1, (2, 3)",
        "{name} = !ls {{y}} | wc",
        "{name} = '''\n%not magic\n!nor this'''",
        "{name} += 1",
        "if y:\n    {name} = 1\n    !ls",
        "def f({name}=1):\n    {name} = 2\n    return {name}",
        "print(f'{{ {name} }}', {name}==1)  # {name} = 1",
        "%matplotlib inline",
        "!echo it's {name} = 1 (\\\n  && ls",
        "?{name}",
        "{name}?",
        "other = \\\n    3",
        "# ünïcode \\",
        "",
    ]
)


@st.composite
def cell_sources(draw: st.DrawFn) -> str:
    text = "\n".join(
        draw(lines).format(name=draw(st.sampled_from(NAMES)))
        for _ in range(draw(st.integers(1, 6)))
    )
    return draw(st.sampled_from(["", "", "%%time\n", "%%bash\n"])) + text


@st.composite
def notebooks(draw: st.DrawFn) -> Any:
    nb = nbformat.v4.new_notebook()
    for number in range(draw(st.integers(1, 6))):
        source = draw(cell_sources() | st.text(alphabet=string.printable + "é\u2028", max_size=30))
        kind = draw(st.sampled_from(["code", "code", "markdown", "raw"]))
        metadata = {
            "tags": draw(st.lists(st.sampled_from("ab"), max_size=2, unique=True)),
            "own": {"x": 1},
        }
        make = getattr(nbformat.v4, f"new_{kind}_cell")
        cell = make(source, id=f"id-{number}", metadata=metadata)
        if kind == "code":
            cell["outputs"] = [nbformat.v4.new_output("stream", text=source)]
            cell["execution_count"] = number
        elif kind == "markdown":
            cell["attachments"] = {"a.png": {"image/png": "AAAA"}}
        nb.cells.append(cell)
    return nb


selectors = st.one_of(
    st.builds(Selector, index=st.integers(1, 7)),
    st.builds(Selector, id=st.integers(0, 6).map("id-{}".format)),
    st.builds(Selector, tag=st.sampled_from("ab")),
    st.builds(Selector, text=st.sampled_from(NAMES), tag=st.sampled_from([None, "a"])),
)


def rules_of(kind: type[AnyRule], most: int, **fields: st.SearchStrategy[Any]) -> Any:
    """Draw a rule of this kind that expects at most so many matches."""
    where, expect = st.just("rules.yaml: rule 1"), st.integers(1, most)
    return st.builds(kind, **{"where": where, "expect": expect, "cells": selectors, **fields})


literals = st.dictionaries(st.sampled_from(NAMES), values.map(to_literal), min_size=1, max_size=2)
anywhere = selectors | st.just(Selector())
replacements = st.sampled_from(["other", "\\1", ""])
places = st.sampled_from(["before", "after", "instead-of"])
anything: st.SearchStrategy[AnyRule] = st.one_of(
    rules_of(Set, 3, values=literals, cells=anywhere),
    rules_of(Replace, 3, old=st.sampled_from(NAMES), new=replacements, cells=anywhere),
    rules_of(Skip, 2),
    rules_of(Inject, 2, place=places, source=st.just("injected()")),
)


def fitting(nb: Any, drawn: Sequence[AnyRule]) -> Book:
    """Keep the rules that match something, and let each expect just that."""
    fit: list[AnyRule] = []
    for rule in drawn:
        for expect in (rule.expect, None):
            try:
                rules.apply(nb, Book(rules=(*fit, rule)))
                fit.append(rule)
                break
            except ConfigurationError as error:
                found = re.search(r"and found (\d+):", str(error))
                if not expect or not found or found[1] == "0":
                    break
                rule = replace(rule, expect=int(found[1]))  # noqa: PLW2901 - the second try
    return Book(rules=tuple(fit))


@given(notebooks(), st.lists(anything, min_size=2, max_size=5))
def test_no_rule_touches_its_notebook_or_a_cell_that_it_does_not_name(
    nb: Any, drawn: Sequence[AnyRule]
) -> None:
    before = copy.deepcopy(nb)

    patched = rules.apply(nb, fitting(nb, drawn))

    assert nb == before
    named = {change.id for change in patched.changes if change.applied}
    kept = {cell.id: cell for cell in patched.notebook.cells}
    for cell in before.cells:
        if cell.id not in named:
            assert kept[cell.id] == cell
        else:
            own, source = ("source", "metadata"), kept[cell.id]
            assert {k: v for k, v in source.items() if k not in own} == {
                k: v for k, v in cell.items() if k not in own
            }
    assert [c.id for c in patched.notebook.cells if c.id in {b.id for b in before.cells}] == [
        cell.id for cell in before.cells
    ]
    assert patched.notebook.metadata == before.metadata
    nbformat.validate(patched.notebook)


@given(notebooks(), st.lists(anything, min_size=2, max_size=5))
def test_the_diff_is_empty_exactly_when_nothing_changed(nb: Any, drawn: Sequence[AnyRule]) -> None:
    patched = rules.apply(nb, fitting(nb, drawn))

    assert bool(notebook_diff.diff(nb, patched.notebook, "a.ipynb")) == (patched.notebook != nb)


@given(cell_sources(), st.sampled_from(NAMES), values)
def test_set_changes_only_the_value_and_is_idempotent(source: str, name: str, value: Any) -> None:
    if not source.startswith("%%bash"):
        source += f"\n{name} = 0"
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source, id="a")])
    number = _assignments(source, name)
    assume(number)
    rule = Set(where="rule 1", values={name: to_literal(value)}, expect=number)

    once = rules.apply(nb, Book(rules=(rule,))).notebook
    twice = rules.apply(once, Book(rules=(rule,))).notebook

    text = once.cells[0].source
    assert twice == once
    assert _without_values(text, name) == _without_values(source, name)
    assert text.count(to_literal(value)) >= number
    for line in source.splitlines():
        if line.startswith(("%mat", "%%", "!echo", "?", "#")):
            assert line in text


@given(notebooks(), anything)
def test_an_unexpected_number_of_matches_is_an_error(nb: Any, rule: AnyRule) -> None:
    with pytest.raises(ConfigurationError, match=r"expects 10000 .* and found \d+( in .*)?: "):
        rules.apply(nb, Book(rules=(replace(rule, expect=10_000),)))


@given(st.text() | cell_sources())
def test_masking_keeps_the_length_of_every_line(source: str) -> None:
    masked = python_source.mask(source)

    assert [len(line) for line in masked.split("\n")] == [len(line) for line in source.split("\n")]


@given(values)
def test_a_literal_evaluates_to_its_value(value: Any) -> None:
    made = eval(to_literal(value), {"float": float})  # noqa: S307, RUF100 - of a literal just made

    assert repr(made) == repr(value)


def _assignments(source: str, name: str) -> int:
    """Count top-level assignments by another way than the code's: by Python's own tree."""
    parsed = python_source.parse(source)
    return sum(1 for _ in _values(parsed.tree, name)) if parsed else 0


def _values(tree: ast.Module, name: str) -> list[tuple[ast.AST, Any]]:
    found: list[tuple[ast.AST, Any]] = []
    for statement in tree.body:
        if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) == name:
            found.append((statement, "value"))
        if isinstance(statement, ast.Assign):
            targets = [ast.unparse(target) for target in statement.targets]
            if name in targets:
                found.append((statement, "value"))
            elif targets[0].startswith((f"({name},", f"{name},")):
                found.append((statement, "elts"))
    return found


def _without_values(source: str, name: str) -> str:
    parsed = python_source.parse(source)
    assert parsed
    for statement, part in _values(parsed.tree, name):
        if part == "value":
            statement.value = ast.Constant(...)  # type: ignore[attr-defined]
        else:
            statement.value.elts[0] = ast.Constant(...)  # type: ignore[attr-defined]
    return ast.dump(parsed.tree)
