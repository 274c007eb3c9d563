import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from refusals import refusal
from rule_books import Written

from stepkit import rules
from stepkit.errors import ConfigurationError
from stepkit.rules.rule import Inject, Replace, Selector, Set, Skip, Subsample

FULL = """\
# yaml-language-server: $schema=schema.json
rules:
  - set: {DATA: ./small.h5ad, SIZE: 1e5, FLAGS: [true, null, -.inf], HOME: {expr: os.getcwd()}}
    cells: {index: 2, tag: setup}
    expect: 2
  - replace: "1_000_000"
    with: "500_000"
  - replace: (\\d+) GB
    with: \\1 MB
    regex: true
  - skip: {text: "!wget"}
    reason: the data is there
  - inject: {before: start}
    source: |
      x = 1
  - inject: {instead-of: {id: plot}}
    source-file: cells/plot.py
tolerate:
  - {ename: KeyError, evalue: pca, cell: {index: 7}, reason: "known\\n upstream", max: 2}
variants:
  lite:
    parameters: {n_pcs: 10}
    rules:
      - set: {DATA: tiny.h5ad}
    tolerate:
      - {ename: ValueError, reason: too small}
    hooks:
      - anndata-subsample: {max_obs: 1000, seed: 7}
  full: {suffix: ""}
"""


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells/plot.py").write_bytes(b"\xef\xbb\xbfplot()\r\nshow()\n")
    path = tmp_path / "rules.yaml"
    path.write_text(FULL)

    book = rules.load(path)

    setter, replace, by_regex, skip, start, instead = book.rules
    assert isinstance(setter, Set)
    assert setter.values == {
        "DATA": "'./small.h5ad'",
        "SIZE": "100000.0",
        "FLAGS": "[True, None, float('-inf')]",
        "HOME": "os.getcwd()",
    }
    assert (setter.cells, setter.expect) == (Selector(index=2, tag="setup"), 2)
    assert isinstance(replace, Replace)
    assert (replace.old, replace.new, replace.regex) == ("1_000_000", "500_000", False)
    assert isinstance(by_regex, Replace)
    assert by_regex.regex
    assert isinstance(skip, Skip)
    assert skip.reason == "the data is there"
    assert isinstance(start, Inject)
    assert (start.place, start.cells, start.source) == ("before", None, "x = 1")
    assert isinstance(instead, Inject)
    assert instead.source == "plot()\nshow()"
    assert (book.tolerate[0].reason, book.tolerate[0].max) == ("known upstream", 2)
    lite = book.variants["lite"]
    assert (lite.suffix, dict(lite.parameters)) == ("_lite", {"n_pcs": 10})
    assert lite.hooks == (Subsample(max_obs=1000, seed=7),)
    assert book.variants["full"].suffix == ""


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "rules: []\n", "{}"])
def test_a_file_without_rules_is_an_empty_book(written: Written, text: str) -> None:
    book = written(text)

    assert (book.rules, book.tolerate, dict(book.variants)) == ((), (), {})


def test_an_anchor_is_an_ordinary_value(written: Written) -> None:
    text = "tolerate:\n- &k {ename: KeyError, reason: known}\n- {<<: *k, ename: ValueError}\n"

    assert [item.ename for item in written(text).tolerate] == ["KeyError", "ValueError"]


REFUSED = {
    "rules: 1": "line 1: rules must be a list, not 1",
    "rules: [1]": "rule 1 must be a mapping, not 1",
    "[]": "the file must be a mapping, not []",
    "rule: []": "the file has an unknown key 'rule': did you mean rules?",
    "rules:\n- set: {A: 1}\n- skipp: {index: 1}": "line 3: rule 2 has none of set, replace, skip, "
    "inject (did you mean skip?)",
    "rules: [{set: {A: 1}, skip: {index: 1}}]": "rule 1 is both set and skip: write one rule",
    "rules: [{set: {A: 1}, expct: 1}]": "rule 1 has an unknown key 'expct': did you mean expect?",
    "rules: [{set: {A: 1}, expect: true}]": "expect must be a whole number, not true",
    "rules: [{set: {A: 1}, expect: 0}]": "expect must be at least 1, not 0",
    "rules: [{set: {}}]": "rule 1, set must not be empty",
    "rules: [{set: {1a: 1}}]": 'set cannot have the key "1a": no Python variable',
    "rules: [{set: {class: 1}}]": "class is not a name that a Python variable can have",
    "rules: [{set: {A: {expr: 1 +}}}]": "expr '1 +' is not a Python expression",
    "rules: [{set: {A: {expr: x, more: 1}}}]": "has an unknown key 'more'",
    "rules: [{replace: x}]": "rule 1 needs with",
    "rules: [{replace: 5, with: x}]": "rule 1, replace must be text, not 5",
    "rules: [{replace: (, with: x, regex: true}]": "'(' is not a regular expression: missing )",
    "rules: [{replace: x, with: '\\2', regex: true}]": "with does not fit the regular expression",
    "rules: [{skip: {idx: 1}}]": "skip has an unknown key 'idx': did you mean id?",
    "rules: [{skip: {index: 0}}]": "rule 1, skip, index must be at least 1, not 0",
    "rules: [{skip: {}}]": "rule 1, skip must not be empty",
    "rules: [{skip: {regex: '*'}}]": "'*' is not a regular expression: nothing to repeat",
    "rules: [{inject: {before: strat}, source: x}]": 'such as {index: 1}, or start, not "strat"',
    "rules: [{inject: {before: start, after: end}, source: x}]": "must be one of before, after",
    "rules: [{inject: {before: start}}]": "rule 1 needs one of source and source-file",
    "rules: [{inject: {before: start}, source-file: ../x.py}]": "../x.py lies outside",
    "rules: [{inject: {before: start}, source-file: /etc/passwd}]": "/etc/passwd lies outside",
    "rules: [{inject: {before: start}, source-file: no.py}]": "no.py does not exist",
    "tolerate: [{ename: KeyError}]": "tolerate 1 needs reason",
    "tolerate: [{ename: KeyError, reason: ' '}]": "tolerate 1, reason must not be empty",
    "tolerate: [{ename: 'KeyError.*', reason: x}]": (
        'ename cannot be "KeyError.*": it is not an error'
    ),
    "tolerate: [{ename: '.*', reason: x}]": 'ename cannot be ".*": it is not an error',
    "tolerate: [{ename: a.B, reason: x}]": "write one name without its module, such as KeyError",
    "tolerate: [{ename: B, reason: x, evalue: '['}]": "'[' is not a regular expression",
    "variants: {lite: {suffix: a/b}}": 'variant lite, suffix cannot be "a/b": use letters',
    "variants: {../x: {}}": 'variants cannot have the key "../x": a variant',
    "variants: {lite: null}": "variant lite must be a mapping, not null",
    "variants: {lite: {rules: [{}]}}": "variant lite, rule 1 has none of set",
    "variants: {lite: {parameters: {a b: 1}}}": 'parameters cannot have the key "a b": no Python',
    "variants: {lite: {hooks: [{anndata-subsample: {}}]}}": "needs max_obs, max_vars or both",
    "variants: {lite: {hooks: [{anndata-subsample: {max_obs: true}}]}}": "not true",
    "a: [": "line 1: not valid YAML",
    "rules: []\nrules: []": "line 2: the key 'rules' is given twice",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:60])
def test_a_mistake_is_reported_with_file_line_and_rule(
    written: Written, tmp_path: Path, text: str
) -> None:
    message = refusal(written, text)

    assert REFUSED[text] in message
    assert message.startswith(str(tmp_path / "rules.yaml"))


BY_SCHEMA = """\
rules:
  - {set: {A: 1}, expct: 1}
  - {skipp: {index: 1}}
tolerate:
  - {ename: KeyError}
variants:
  lite: {suffix: a/b}
"""
BY_MEANING = """\
rules:
  - set: {class: 1}
  - skip: {regex: "*"}
  - set: {A: 1}
tolerate:
  - {ename: KeyError, reason: " "}
variants:
  lite:
    parameters: {import: 1}
    rules:
      - set: {A: {expr: 1 +}}
"""


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (BY_SCHEMA, [(3, "rule 2 has none of set"), (2, "rule 1 has an unknown key 'expct'"),
                     (5, "tolerate 1 needs reason"), (7, "variant lite, suffix cannot be")]),
        (BY_MEANING, [(2, "rule 1, set, class is not a name"), (3, "rule 2, skip, regex: '*' is"),
                      (6, "tolerate 1, reason must not"), (9, "parameters, import is not a name"),
                      (11, "variant lite, rule 1, set, A, expr '1 +' is not")]),
    ],
)  # fmt: skip
def test_all_mistakes_are_reported_with_their_lines(
    written: Written, tmp_path: Path, text: str, wrong: list[tuple[int, str]]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        written(text)

    assert str(caught.value).endswith(f"(and {len(wrong) - 1} more)")
    assert caught.value.evidence
    shown = [str(caught.value), *caught.value.evidence.output]
    for message, (line, what) in zip(shown, wrong, strict=True):
        assert message.startswith(f"{tmp_path / 'rules.yaml'}, line {line}: ")
        assert what in message


def test_a_date_is_text_as_for_papermill(written: Written) -> None:
    (rule,) = written("rules: [{set: {DAY: 2024-01-31}}]").rules

    assert isinstance(rule, Set)
    assert rule.values == {"DAY": "'2024-01-31'"}


FROM_FILE = "rules: [{inject: {before: start}, source-file: cell.py}]"


@pytest.mark.parametrize(
    ("content", "why"),
    [(b" \n", "is empty"), (b"\xff", "is not text in UTF-8"), (b"x\0", "is not text")],
)
def test_a_source_file_without_valid_text_is_refused(
    written: Written, tmp_path: Path, content: bytes, why: str
) -> None:
    (tmp_path / "cell.py").write_bytes(content)

    assert f"source-file cell.py {why}" in refusal(written, FROM_FILE)


def test_a_link_to_outside_the_directory_is_not_followed(written: Written, tmp_path: Path) -> None:
    (tmp_path / "cell.py").symlink_to("/etc/hostname")

    assert "cell.py lies outside the directory" in refusal(written, FROM_FILE)


def test_the_schema_is_sound_and_explains_itself() -> None:
    schema = json.loads(rules.SCHEMA.read_text())

    Draft202012Validator.check_schema(schema)
    for name, part in _properties(schema):
        assert "$ref" in part or part.get("description"), name


def _properties(schema: object) -> Iterator[tuple[str, dict[str, object]]]:
    if isinstance(schema, dict):
        properties = schema.get("properties")
        if isinstance(properties, dict):
            yield from properties.items()
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from _properties(part)


def test_a_relative_path_may_be_relative_to_the_checkout_of_the_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = tmp_path / "run/source"
    (checkout / ".git").mkdir(parents=True)
    (checkout / "ci").mkdir()
    (checkout / "ci/rules.yaml").write_text("variants: {lite: {}}\n")
    monkeypatch.chdir(tmp_path)
    path, notebook = Path("ci/rules.yaml"), Path("run/source/notebooks/a.ipynb")

    assert "lite" in rules.load(path, notebook).variants
    with pytest.raises(ConfigurationError, match="there is no file") as raised:
        rules.load(Path("ci/rulez.yaml"), notebook)
    assert str(raised.value) == (
        "there is no file ci/rulez.yaml (did you mean rules.yaml?): it is not "
        f"{tmp_path}/ci/rulez.yaml nor {checkout}/ci/rulez.yaml"
    )
    assert raised.value.reason == "not-found"

    (tmp_path / "ci").mkdir()
    (tmp_path / "ci/rules.yaml").write_text("variants: {full: {}}\n")
    assert "full" in rules.load(path, notebook).variants
