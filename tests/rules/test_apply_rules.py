import copy
import json
import re
from dataclasses import asdict
from pathlib import Path

import nbformat
import pytest
from refusals import refusal
from rule_books import Changed, Written, cell_sources, notebook

from stepkit import rules
from stepkit.errors import ConfigurationError
from stepkit.notebook.cell_numbers import number_cells
from stepkit.rules import notebook_diff

SET = [
    ("X = 1", "X = 5"),
    ("X=1  # one", "X=5  # one"),
    ("X: int = 1", "X: int = 5"),
    ("a = X = 1", "a = X = 5"),
    ("X, y = 1, 2", "X, y = 5, 2"),
    ("[y, X] = [1, 2]", "[y, X] = [1, 5]"),
    ("y = 0; X = 1; z = 2", "y = 0; X = 5; z = 2"),
    ("X = (\n    1  # one\n    + 2\n)  # end", "X = (\n    5\n)  # end"),
    ("X = [\n    1,\n    2,\n]\ny = X", "X = 5\ny = X"),
    ('X = """\n%foo\n!bar"""\ny = 1', "X = 5\ny = 1"),
    ("é = 'ü'; X = 'ß'; z = 'é'", "é = 'ü'; X = 5; z = 'é'"),
    ("!ls\nX = 1\n%matplotlib inline\n?X\nX?", "!ls\nX = 5\n%matplotlib inline\n?X\nX?"),
    ("%%time\nX = 1", "%%time\nX = 5"),
    ("X = !ls \\\n  -l é\ny = 1", "X = 5\ny = 1"),
    ("X = %who\ny = !ls", "X = 5\ny = !ls"),
    ("X = 1\r\n!ls\r\ny = 2\r\n", "X = 5\r\n!ls\r\ny = 2\r\n"),
    ("  X = 1\n  y = 2", "  X = 5\n  y = 2"),
    ("!echo it's (\nX = 1", "!echo it's (\nX = 5"),
    ("# why \\\n%time\nX = 1", "# why \\\n%time\nX = 5"),
    ("if y:\n    !ls\nelse:\n    %cd ..\nX = 1", "if y:\n    !ls\nelse:\n    %cd ..\nX = 5"),
    ("X = await f()\nX2 = X", "X = 5\nX2 = X"),
    ("X = '\\d'\nX += 1", "X = 5\nX += 1"),
]


@pytest.mark.parametrize(("before", "after"), SET)
def test_set_changes_the_value_and_nothing_else(changed: Changed, before: str, after: str) -> None:
    patched = changed("rules: [{set: {X: 5}}]", before)

    assert cell_sources(patched) == [after]
    assert patched.changes[0].rule == "set X"


@pytest.mark.parametrize("deep", ["+".join(["1"] * 2000), "(" * 190 + ")" * 190])
def test_set_changes_a_cell_with_a_deep_expression(changed: Changed, deep: str) -> None:
    patched = changed("rules: [{set: {X: 5}}]", f"y = {deep}\nX = 1\nos._exit(0)")

    assert cell_sources(patched) == [f"y = {deep}\nX = 5\nos._exit(0)"]


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ("it's", '"it\'s"'),
        ('"a\\nb"', "'a\\nb'"),
        ("null", "None"),
        (".nan", "float('nan')"),
        ("-.inf", "float('-inf')"),
        ("-0.5", "-0.5"),
        ("{a: [1, {b: true}], c: .inf}", "{'a': [1, {'b': True}], 'c': float('inf')}"),
        ("{expr: 'Path.home() / \"x\"'}", 'Path.home() / "x"'),
        ("{expr: '1, 2'}", "(1, 2)"),
        ("{expr: 'lambda: 0'}", "lambda: 0"),
        ('{expr: "f(\\n  1)"}', "f(\n  1)"),
    ],
)
def test_a_value_becomes_a_literal_and_an_expression_stays_source(
    changed: Changed, value: str, literal: str
) -> None:
    patched = changed(f"rules: [{{set: {{X: {value}}}}}]", "X, y = 0, 1")

    assert cell_sources(patched) == [f"X, y = {literal}, 1"]


def test_an_expression_that_comments_out_the_rest_of_its_line_is_refused(changed: Changed) -> None:
    book = "rules: [{set: {X: {expr: '1 # one'}}}]"

    assert cell_sources(changed(book, "X = 0")) == ["X = 1 # one"]
    assert "'1 # one' does not fit into its line" in refusal(changed, book, "X = 0; y = 1")


MISMATCHES = [
    ("set: {DAAT: 1}", "the nearest is DATA in cell 1 (`DATA = 1`); correct the rule"),
    (
        "set: {n: 1}",
        "in cell 2 (`if DATA: n = 1`), line 2 assigns it inside another statement, not at",
    ),
    ("set: {total: 1}", "in cell 3 (`total += 1`), line 1 only adds to it"),
    ("set: {left: 1}", "in cell 4 (`left, right = pair`), line 1 assigns it as one of several"),
    ("set: {OUT: 1}", "and found 2: cell 5 (`OUT = 1; OUT = 2`) 2 times; narrow it with cells"),
    ("set: {zzzzzz: 1}", "found 0 in 7 cells: no Python was found in cell 6 (`echo hello`)"),
    ("{set: {DATA: 1}, cells: {index: 2}}", "cell 1 (`DATA = 1`) assigns it and is not among"),
    ("{set: {KEPT: 1}}", "the uncounted cell with id c7 assigns it and is skipped"),
    ("{set: {DATA: 1}, expect: 2}", "expects 2 top-level assignments and found 1: cell 1 (`DATA"),
    ("{replace: DATA, with: x}", "(replace 'DATA') expects 1 place and found 2: cell 1"),
    ("{replace: 'total  += 1', with: x}", "the nearest line is `total += 1` in cell 3"),
    ("{replace: 'n+m', with: x, regex: true}", "found 0 in 7 cells: no cell matches 'n+m'"),
    ("{replace: KEPT, with: x}", "the uncounted cell with id c7 has it and is skipped"),
    (
        "{replace: total, with: x, cells: {index: 1}}",
        "found 0 in cell 1 (`DATA = 1`): cell 3 (`total += 1`) has it and is not",
    ),
    ("skip: {index: 9}", "(skip {index: 9}) expects 1 cell and found 0: the notebook has 6 such"),
    ("skip: {id: c99}", "the nearest id is c9; correct the rule or take it out; nothing was run"),
    ("skip: {tag: plots}", "the nearest tag is plot;"),
    ("skip: {text: Total}", "the nearest line is `total += 1` in cell 3"),
    ("skip: {regex: ^zz}", "no cell matches '^zz'"),
    ("skip: {tag: plot, index: 1}", "no cell meets all of it"),
    ("skip: {text: '= '}", "narrow it with a narrower selector, or give expect: 6 if that"),
    ("{inject: {before: {index: 9}}, source: x}", "(inject before {index: 9}) expects 1 cell"),
]


@pytest.mark.parametrize(("sources", "count"), [((), "0 such cells;"), (("1",), "1 such cell;")])
def test_an_index_beyond_the_last_cell_says_how_many_there_are(
    changed: Changed, sources: tuple[str, ...], count: str
) -> None:
    assert f"the notebook has {count}" in refusal(changed, "rules: [{skip: {index: 9}}]", *sources)


def test_all_rules_that_do_not_fit_are_reported_together(
    changed: Changed, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    book = (
        "rules:\n- set: {n_cell: 1, n: 2, n_pc: 3}\n- skip: {index: 9}\n- {replace: n, with: m}\n"
    )

    message = refusal(changed, book, "n_cells = 20_000", "n = 1", "pcs = 30")

    assert "rules.yaml, line 2: rule 1 (set n_cell) expects 1 top-level" in message
    assert message.endswith("nothing was run (and 3 more)")
    also = [line.partition(" expects ")[0] for line in caplog.messages if "also wrong: " in line]
    assert [line.partition("rules.yaml, ")[2] for line in also] == [
        "line 2: rule 1 (set n_pc)",
        "line 3: rule 2 (skip {index: 9})",
        "line 4: rule 3 (replace 'n')",
    ]


def test_a_similar_name_is_shown_with_the_line_that_assigns_it(changed: Changed) -> None:
    cell = "# settings\nn_cells = 20_000\nn_pcs = 30"

    message = refusal(changed, "rules: [{set: {n_cell: 1}}]", cell)

    assert "the nearest is n_cells in cell 1 (`n_cells = 20_000`); correct the rule" in message


@pytest.mark.parametrize(("rule", "finding"), MISMATCHES)
def test_a_rule_that_does_not_fit_the_notebook_reports_what_it_found(
    written: Written, rule: str, finding: str
) -> None:
    nb = notebook(
        "DATA = 1",
        "if DATA:\n    n = 1",
        "total += 1",
        "left, right = pair",
        "OUT = 1; OUT = 2",
        "%%bash\necho hello",
        "KEPT = 1",
        "",
        tags={7: ["skip-execution"], 8: ["plot"]},
    )
    nb.cells[7]["id"] = "c9"
    book = written(f"rules:\n- {rule}\n")

    message = refusal(rules.apply, nb, book)

    assert finding in message
    assert f"{book.source}, line 2: rule 1 (" in message


def test_replace_takes_text_literally_and_a_regex_with_groups(changed: Changed) -> None:
    book = (
        "rules:\n"
        "- {replace: 'a[:1]', with: 'r\"\\1\"'}\n"
        "- {replace: '^n = (\\d+)$', with: 'n = \\1_0', regex: true, expect: 2}\n"
    )

    patched = changed(book, "b = a[:1]\nn = 1", "n = 22")

    assert cell_sources(patched) == ['b = r"\\1"\nn = 1_0', "n = 22_0"]
    assert patched.changes[0].what == "'a[:1]' became 'r\"\\\\1\"'"


def test_a_replacement_that_breaks_the_cell_is_refused_before_the_run(changed: Changed) -> None:
    book = "rules: [{replace: 'f(1)', with: 'f('}]"

    assert "after it cell 1 (`f(1)`) is not Python" in refusal(changed, book, "f(1)")
    assert cell_sources(changed(book, "%%bash\nf(1)")) == ["%%bash\nf("]
    assert cell_sources(changed(book, "f(1)", language="R")) == ["f("]


def test_rules_change_sources_in_order_and_select_cells_of_the_original(changed: Changed) -> None:
    book = (
        "rules:\n"
        "- {set: {X: 2}}\n"
        "- {replace: X = 2, with: X = 3, cells: {text: X = 1}}\n"
        "- {inject: {before: start}, source: X = 1}\n"
    )

    assert cell_sources(changed(book, "X = 1")) == ["X = 1", "X = 3"]


@pytest.mark.parametrize("last", ["skip: {index: 1}", "inject: {instead-of: {id: c1}}, source: y"])
def test_a_cell_that_a_rule_changed_cannot_be_skipped_later(changed: Changed, last: str) -> None:
    book = f"rules:\n- set: {{n: 3}}\nvariants:\n  v:\n    rules:\n    - {{{last}}}\n"

    message = refusal(changed, book, "n = 1", variant="v")

    assert "rules.yaml, line 6: variant v, rule 1 (" in message
    assert "would skip cell 1 (`n = 1`), which" in message
    assert "line 2: rule 1 (set n) changed" in message
    assert cell_sources(changed(book, "n = 1")) == ["n = 3"]
    assert changed(book, "n = 3", variant="v").skipped == 1


@pytest.mark.parametrize(
    ("rule", "notes"),
    [
        ("{set: {n: 1, m: a}}", ["n is 1 already", "m is 'a' already"]),
        ("{replace: n, with: n}", ["'n' is 'n' already"]),
        ("{replace: '(n) =', with: '\\1 =', regex: true}", ["'(n) =' is '\\\\1 =' already"]),
    ],
)
def test_a_value_or_text_that_is_already_there_is_not_a_change(
    written: Written, tmp_path: Path, rule: str, notes: list[str]
) -> None:
    nb = notebook('n = 1; m = "a"')

    patched = rules.apply(nb, written(f"rules: [{rule}]"))

    assert [change.what for change in patched.changes] == notes
    assert not any(change.applied for change in patched.changes)
    assert patched.notebook == nb
    assert rules.write(nb, patched, "a.ipynb", beside=tmp_path / "out.ipynb") is None


def test_names_set_in_the_parameters_cell_are_reported(changed: Changed) -> None:
    patched = changed("rules: [{set: {n: 5, m: 2}}]", "n = 1", "m = 1", tags={1: ["parameters"]})

    assert patched.names_set == {"n"}


def test_skipped_and_remaining_cells_are_counted(changed: Changed) -> None:
    book = (
        "rules:\n- skip: {text: a}\n- {inject: {instead-of: {text: b}}, source: x}\n"
        "- {inject: {before: start}, source: y}\n- skip: {id: c6}\n"
    )
    sources = ("a", "b", "", "kept", "os._exit(0)", "d")

    patched = changed(book, *sources, tags={6: ["skip-execution"]})

    assert (patched.skipped, patched.runnable) == (3, 2)
    everything = changed("rules: [{skip: {index: 1}}]", "a")
    assert (everything.skipped, everything.runnable) == (1, 0)


def test_skip_tags_the_cell_and_keeps_its_source_and_tags(changed: Changed) -> None:
    book = "rules: [{skip: {tag: slow}, expect: 2, reason: takes an hour}]"

    patched = changed(book, "a", "b", "c", tags={1: ["slow", "x"], 3: ["skip-execution", "slow"]})

    tags = [cell.metadata.get("tags") for cell in patched.notebook.cells]
    assert tags == [
        ["slow", "x", "skip-execution", "skipped-by-stepkit"],
        None,
        ["skip-execution", "slow"],
    ]
    assert patched.changes[0].what == "cell 1 (`a`) is skipped: takes an hour"
    assert cell_sources(patched) == ["a", "b", "c"]


def test_injected_cells_are_in_their_places_in_the_order_of_the_rules(written: Written) -> None:
    book = written(
        "rules:\n"
        "- {inject: {before: start}, source: s1}\n"
        "- {inject: {before: start}, source: s2}\n"
        "- {inject: {after: end}, source: e1}\n"
        "- {inject: {after: end}, source: e2}\n"
        "- {inject: {before: {index: 1}}, source: b1}\n"
        "- {inject: {before: {index: 1}}, source: b2}\n"
        "- {inject: {after: {index: 1}}, source: a1}\n"
        "- {inject: {instead-of: {index: 2}}, source: i}\n"
    )
    nb = notebook("one", "two")
    nb.cells.insert(0, nbformat.v4.new_markdown_cell("# title", id="stepkit-injected-1"))

    patched = rules.apply(nb, book)

    wanted = ["s1", "s2", "# title", "b1", "b2", "one", "a1", "two", "i", "e1", "e2"]
    assert cell_sources(patched) == wanted
    nbformat.validate(patched.notebook)
    assert len({cell.id for cell in patched.notebook.cells}) == len(wanted)
    tagged = {"tags": ["injected-by-stepkit"]}
    injected = [c.source for c in patched.notebook.cells if c.metadata == tagged]
    assert injected == ["s1", "s2", "b1", "b2", "a1", "i", "e1", "e2"]
    assert patched.notebook.cells[7].metadata.tags == ["skip-execution", "skipped-by-stepkit"]
    changes = {change.what for change in patched.changes}
    assert "a cell `i` was added instead of cell 2 (`two`)" in changes
    assert "a cell `s1` was added at the notebook's start" in changes


def test_an_injected_cell_that_is_not_python_is_refused(changed: Changed) -> None:
    book = "rules: [{inject: {after: end}, source: 'x ='}]"

    assert "(inject after end): its source is not Python" in refusal(changed, book, "x")
    assert cell_sources(changed(book, "x", language="julia")) == ["x", "x ="]


def test_set_is_refused_for_other_languages_than_python(written: Written) -> None:
    book = written("rules: [{set: {X: 1}}]")

    with pytest.raises(ConfigurationError, match=r"set X\) reads Python, .* use replace"):
        rules.apply(notebook("X = 0", language="R"), book)
    with pytest.raises(ConfigurationError, match="reads Python"):
        rules.apply(notebook("X = 0"), book, language="R")


@pytest.mark.parametrize("source", ["", "# Title"])
def test_no_rule_fits_a_notebook_without_code(written: Written, source: str) -> None:
    nb = notebook()
    if source:
        nb.cells.append(nbformat.v4.new_markdown_cell("X = 1\n[title]"))

    assert rules.apply(nb, rules.EMPTY).notebook == nb
    for rule in ("set: {X: 1}", "replace: X, with: Y", "skip: {text: X}", "skip: {index: 1}"):
        assert "found 0" in refusal(rules.apply, nb, written(f"rules: [{{{rule}}}]"))


def test_cells_are_numbered_as_in_messages(changed: Changed) -> None:
    sources = ("", "one", "two", "three")

    patched = changed("rules: [{skip: {index: 2}}]", *sources, tags={3: ["skip-execution"]})

    assert patched.changes[0].id == "c4"


def test_a_cell_that_a_rule_empties_is_skipped_and_keeps_its_number(changed: Changed) -> None:
    patched = changed("rules: [{replace: plot(), with: ''}]", "a", "plot()", "b")

    assert number_cells(patched.notebook) == [1, 2, 3]
    assert (patched.skipped, patched.runnable) == (1, 2)


def test_an_error_is_tolerated_only_as_often_as_declared(changed: Changed) -> None:
    book = (
        "tolerate:\n"
        "- {ename: KeyError, evalue: X_pca, cell: {index: 2}, reason: no PCA on few, max: 2}\n"
        "- {ename: KeyError, evalue: umap, reason: nor UMAP}\n"
    )
    tolerances = changed(book, "a", "b").tolerances

    assert tolerances.accept("c1", "KeyError", "'X_pca'") is None
    assert tolerances.accept("c2", "ValueError", "'X_pca'") is None
    assert tolerances.accept("c2", "KeyError", "'X_lda'") is None
    for _ in range(2):
        accepted = tolerances.accept("c2", "KeyError", "'X_pca'")
        assert accepted
        assert accepted.reason == "no PCA on few"
    assert tolerances.accept("c2", "KeyError", "'X_pca'") is None
    assert tolerances.unused() == ["tolerance for KeyError was not needed: nor UMAP"]
    assert tolerances.accept("c1", "KeyError", "no umap here")
    assert tolerances.accept("c1", "KeyError", "no umap here") is None


def test_each_run_counts_its_own_tolerated_errors(written: Written) -> None:
    book = written("tolerate: [{ename: KeyError, reason: known}]")

    for _ in range(2):
        tolerances = rules.apply(notebook("a"), book).tolerances
        assert tolerances
        assert tolerances.accept("c1", "KeyError", "")
        assert not tolerances.accept("c1", "KeyError", "")


def test_a_tolerance_from_the_command_line_has_a_reason() -> None:
    given = [rules.parse_tolerance("KeyError: .*pca"), rules.parse_tolerance("ValueError")]

    tolerances = rules.apply(notebook("a"), rules.EMPTY, extra_tolerances=given).tolerances

    accepted = tolerances.accept("c1", "KeyError", "'X_pca'")
    assert accepted
    assert accepted.reason == "declared on the command line"
    assert tolerances.accept("c1", "ValueError", "anything\nat all")
    assert not rules.apply(notebook("a"), rules.EMPTY).tolerances


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is not an error's class"),
        (":x", "'' is not an error's class"),
        ("KeyError.*pca", "'KeyError.*pca' is not an error's class: write KeyError, and a part"),
        ("cupy.cuda.OutOfMemoryError:x", "without its module: write OutOfMemoryError"),
        ("KeyError:(", "'(' is not a regular expression: missing ), unterminated subpattern"),
    ],
)
def test_a_tolerance_that_could_never_match_is_refused(text: str, problem: str) -> None:
    message = refusal(rules.parse_tolerance, text)

    assert problem in message
    assert message.startswith("--tolerate ")


def test_a_tolerance_for_a_missing_cell_or_a_shared_id_is_refused(written: Written) -> None:
    book = written("tolerate: [{ename: KeyError, reason: x, cell: {text: pca}}]")
    nb = notebook("pca", "b")
    nb.cells[1]["id"] = "c1"

    message = refusal(rules.apply, notebook("a"), book)

    assert "in {text: pca}) means no cell: no cell holds" in message
    assert "other cells have the same id as cell 1" in refusal(rules.apply, nb, book)


def test_the_rules_of_a_variant_follow_those_of_the_file(changed: Changed) -> None:
    book = (
        "rules: [{set: {X: 1}}]\n"
        "variants:\n"
        "  lite:\n"
        "    parameters: {n: 5}\n"
        "    rules: [{set: {X: 2}}, {inject: {before: start}, source: first()}]\n"
        "    tolerate: [{ename: ValueError, reason: small}]\n"
        "    hooks: [{anndata-subsample: {max_obs: 1000, max_vars: 50}}]\n"
    )

    plain = changed(book, "X = 0")
    lite = changed(book, "X = 0", variant="lite")

    assert (cell_sources(plain), plain.suffix, plain.parameters) == (["X = 1"], "", {})
    hook, first, own = cell_sources(lite)
    assert hook.startswith(
        "# Injected by stepkit: anndata-subsample: what anndata reads is cut to "
    )
    assert "at most 1,000 rows and 50 columns (seed 0)" in hook.splitlines()[0]
    assert (first, own) == ("first()", "X = 2")
    assert (lite.suffix, lite.parameters) == ("_lite", {"n": 5})
    assert lite.tolerances.accept("c1", "ValueError", "")
    hooked = "variants: {lite: {hooks: [{anndata-subsample: {max_obs: 1}}]}}"
    message = refusal(changed, hooked, variant="lite", language="R")
    assert "is for Python notebooks, and this is not one" in message


def test_an_unknown_variant_is_refused_and_known_ones_are_named(changed: Changed) -> None:
    book = "variants: {lite: {}, full: {}}"

    def problem(text: str, variant: str = "lite") -> str:
        return refusal(changed, text, variant=variant)

    assert "has no variant 'light': did you mean lite" in problem(book, "light")
    assert "has no variant 'zzz' (known: full, lite)" in problem(book, "zzz")
    assert re.search(r"no variant 'lite': .*rules.yaml declares none", problem(""))
    with pytest.raises(ConfigurationError, match="no variant 'lite': there is no rules file"):
        rules.apply(notebook(), rules.EMPTY, variant="lite")


def test_original_is_a_variant_that_every_notebook_has() -> None:
    found = rules.apply(notebook("n = 1"), rules.EMPTY, variant="original")

    assert (found.suffix, [change.what for change in found.changes]) == ("", [])


def test_a_rules_file_may_declare_its_own_original(changed: Changed) -> None:
    book = "variants: {original: {suffix: _full, rules: [{set: {n: 2}}]}}"

    assert changed(book, "n = 1", variant="original").suffix == "_full"


def test_an_older_notebook_gets_no_ids(written: Written) -> None:
    nb = notebook("x = 1")
    nb.nbformat_minor = 4
    del nb.cells[0]["id"]

    patched = rules.apply(nb, written("rules: [{inject: {before: start}, source: y}]"))

    nbformat.validate(patched.notebook)
    assert "id" not in patched.notebook.cells[0]


def test_a_change_can_go_into_a_report(changed: Changed) -> None:
    patched = changed("rules: [{set: {X: ü}}]", "X = 0")

    report = json.loads(json.dumps([asdict(change) for change in patched.changes]))
    assert report == [
        {"rule": "set X", "cell": 1, "id": "c1", "what": "X = 'ü' instead of 0", "applied": True}
    ]


def test_the_diff_shows_only_changed_skipped_and_injected_cells(written: Written) -> None:
    book = written(
        "rules:\n"
        "- set: {X: 1}\n"
        "- skip: {index: 2}\n"
        "- {inject: {after: end}, source: done()}\n"
        "- {replace: old, with: new}\n"
    )
    nb = notebook("a = 0\nX = 0", "load()", "same()", "old()")

    assert (
        notebook_diff.diff(nb, rules.apply(nb, book).notebook, "a.ipynb")
        == """\
--- a.ipynb, cell 1 (id c1)
+++ a.ipynb, cell 1 (id c1)
@@ -1,2 +1,2 @@
 a = 0
-X = 0
+X = 1
--- a.ipynb, cell 2 (id c2)
+++ a.ipynb, cell 2 (id c2), skipped: source unchanged, tagged skip-execution
@@ -1,1 +1,1 @@
 load()
--- a.ipynb, cell 4 (id c4)
+++ a.ipynb, cell 4 (id c4)
@@ -1 +1 @@
-old()
+new()
--- /dev/null
+++ a.ipynb, injected cell (id stepkit-injected-1)
@@ -0,0 +1,1 @@
+done()
"""
    )
    assert notebook_diff.diff(nb, copy.deepcopy(nb), "a.ipynb") == ""
