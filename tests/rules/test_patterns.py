"""Regular expressions that would run for years, on text that the notebook controls."""

import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path

import commands
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refusal
from rule_books import Changed, Written, notebook
from samples import write_notebook

from stepkit import rules
from stepkit.errors import ConfigurationError
from stepkit.rules import patterns

SLOW = {
    "(a+)+$": "a" * 40 + "b",
    "(a|a)*b": "a" * 40,
    "(a|aa)+b": "a" * 40,
    "(?:a?){40}b": "a" * 40,
    "(?:(?:a|a|a){30}){2}b": "a" * 60,
    r"(a)(?:\1|a)*b": "a" * 60,
    "(?=(a+)+b)": "a" * 40,
    "(?:a{1,30}?){30}b": "a" * 40,
    ".*.*.*x": "a" * 10_000,
    r"\d+\w*\d*x": "1" * 10_000,
    ".*x": "a" * 10_000,
}
QUICK = {
    "X_pca": True,
    "^import rmm": False,
    ".*pca": True,
    "[a-z]+ (is|was) gone": False,
    r"pcas?'": True,
    "(?i:x_PCA)": True,
    "(?:KeyError){2}": False,
    "": True,
}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "LIMIT_SECONDS", 2.0)  # to spare time


@pytest.mark.slow
def test_an_expression_that_takes_too_long_is_stopped_and_named() -> None:
    texts = ["x", "a" * 40 + "b", "x"]

    assert refusal(patterns.search, "(a+)+$", texts, ["cell 1", "cell 2", "cell 3"]) == (
        "'(a+)+$' takes too long on cell 2 (more than 2 s): "
        "rewrite it without a repeat inside of a repeat"
    )


@pytest.mark.parametrize("pattern", SLOW)
def test_an_expression_that_may_take_long_is_not_matched_in_process(
    monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")

    problem, texts = "no program /nonexistent/python", [SLOW[pattern]]

    assert problem in refusal(patterns.search, pattern, texts, ["cell 1"])
    assert problem in refusal(patterns.substitute, pattern, "", texts, ["cell 1"])


@pytest.mark.parametrize("pattern", QUICK)
def test_an_ordinary_expression_is_searched_in_the_text(pattern: str) -> None:
    assert patterns.search(pattern, ["KeyError: 'X_pca' " * 10], [""]) == [QUICK[pattern]]


def test_the_child_process_gives_the_same_results_as_re(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "LIMIT_SECONDS", 60.0)
    texts = ["aXb\nab", "", "é\ud800b", "x" * 300_000 + "ab"]

    assert patterns.search("^ab|.b$", texts, texts, re.MULTILINE) == [True, False, True, True]
    made = patterns.substitute("(?P<one>.)b", r"\g<one>\1", texts, texts)
    assert [tuple(one) for one in made] == [re.subn("(?P<one>.)b", r"\1\1", t) for t in texts]
    assert patterns.search("a", [], []) == []
    assert patterns.search("[[a]", ["["], [""]) == [True]  # re warns of such a set


def test_the_error_of_a_failed_child_process_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "_CHILD", "raise MemoryError('none left')")
    with pytest.raises(ConfigurationError, match="'a' cannot be matched: MemoryError: none left"):
        patterns.search("a", ["a"], ["cell 1"])
    monkeypatch.setattr(patterns, "_CHILD", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(ConfigurationError, match="its process ended with code -9"):
        patterns.search("a", ["a"], ["cell 1"])


@given(st.sampled_from([r"\1", r"\2", r"\g<n>", r"\g<m>", r"\g<0>", "\\", r"\q", "x"]))
def test_a_template_is_checked_as_re_checks_it(new: str) -> None:
    def verdict(check: Callable[[], object]) -> str:
        try:
            check()
        except (re.error, IndexError) as error:
            return str(error)
        return ""

    assert verdict(lambda: patterns.check_template("(?P<n>a)|b()", new)) == verdict(
        lambda: re.sub("(?P<n>a)|b()", new, "")
    )


@pytest.mark.slow
def test_an_error_is_not_tolerated_when_its_expression_takes_too_long(
    changed: Changed, caplog: pytest.LogCaptureFixture
) -> None:
    book = (
        "tolerate:\n"
        "- {ename: KeyError, evalue: '(a+)+$', reason: slow}\n"
        "- {ename: KeyError, evalue: b$, reason: quick}\n"
    )
    tolerances = changed(book, "x").tolerances

    with caplog.at_level(logging.WARNING):
        accepted = tolerances.accept("c1", "KeyError", "a" * 40 + "b")
        assert accepted
        assert accepted.reason == "quick"
        assert tolerances.accept("c1", "KeyError", "a" * 40 + "b") is None

    texts = [record.getMessage() for record in caplog.records]
    start = "line 2: tolerate 1: the error is not tolerated: '(a+)+$' takes too long on"
    assert sum(start in text for text in texts) == 2
    assert tolerances.accept("c1", "KeyError", "aaa")


def test_an_expression_sees_the_first_ten_thousand_characters() -> None:
    given = [rules.parse_tolerance("KeyError:end")]

    tolerances = rules.apply(notebook("a"), rules.EMPTY, extra_tolerances=given).tolerances

    assert not tolerances.accept("c1", "KeyError", "-" * 9_998 + "end")
    assert tolerances.accept("c1", "KeyError", "-" * 9_997 + "end")


@pytest.mark.parametrize(
    "rule",
    [
        "skip: {regex: '(a+)+$'}",
        "{set: {X: 1}, cells: {regex: '(a+)+$'}}",
        "{replace: '(a+)+$', with: '', regex: true}",
    ],
)
@pytest.mark.slow
def test_a_rule_whose_expression_takes_too_long_is_refused(written: Written, rule: str) -> None:
    book = written(f"rules:\n- {rule}\n")

    message = refusal(rules.apply, notebook("x", "#" + "a" * 40 + "b"), book)

    assert f"{book.source}, line 2: rule 1" in message
    assert "'(a+)+$' takes too long on cell 2 (`#aaaa" in message


@pytest.mark.slow
def test_a_run_ends_although_the_expression_never_would(tmp_path: Path) -> None:
    book = "tolerate: [{ename: KeyError, evalue: '(a+)+$', reason: r}]"
    (tmp_path / "rules.yaml").write_text(book)
    write_notebook(tmp_path / "in.ipynb", "raise KeyError('a'*40+'b')")
    flags = ("--notebook=in.ipynb", "--output=out.ipynb", "--rules=rules.yaml")

    done = commands.stepkit("execute-notebook", *flags, cwd=tmp_path, timeout=100)

    assert done.returncode == 3, done.stderr
    assert "raised KeyError" in done.stderr
    assert "the error is not tolerated: '(a+)+$' takes too long" in done.stderr
    assert (tmp_path / "out.ipynb").is_file()
